"""The parser of every command: one-line errors, and values as Python and W&B write them.

Nothing heavy is imported here, so that a command that needs no torch starts without it.
"""

import re
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from fusionseg.cli.arguments import as_yaml
from fusionseg.config.errors import UsageError
from fusionseg.config.parser_messages import usage_error


class Parser(ArgumentParser):
    """A parser that raises a `UsageError` with a short message, also for nested parts."""

    manual: Callable[[], str] | None = None
    """Gives the help instead of jsonargparse."""

    known: Sequence[str] = ()
    """Further keys that are accepted, among which the nearest to a wrong one is looked for."""

    def parse_args(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        """As jsonargparse's, but also of null, lists and mappings as Python writes them, and W&B."""
        given = sys.argv[1:] if args is None else args
        return super().parse_args(list(map(as_yaml, given)), *rest, **options)

    def add_class_arguments(self, *args: Any, **options: Any) -> list[str]:
        """As jsonargparse's, but 1 is an integer where integers and decimals mean different things.

        `Union[int, float]` has the order in which this process named the two first, as `typing` keeps one of
        both, and jsonargparse tries them in that order. To Lightning 1 is one batch and 1.0 are all of them.
        """
        added: list[str] = super().add_class_arguments(*args, **options)
        action: Any
        for action in self._actions:
            kinds = getattr(getattr(action, "_typehint", None), "__args__", ())
            if {int, float} <= {*kinds}:
                action._typehint = reduce(or_, sorted(kinds, key=lambda kind: kind is not int))
        return added

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises a `UsageError`."""
        if found := re.match(r"argument (--\S+): expected (?:one|at least one) argument$", message):
            # the argument as it was given, which may be a longer one
            bare = (
                word
                for word, after in pairwise([*self.args, "--"])
                if after.startswith("--") and word.startswith(found[1]) and "=" not in word
            )
            raise UsageError("expected a value, found none", next(bare, found[1]).removeprefix("--"))
        hints = {action.dest: getattr(action, "_typehint", None) for action in self._actions}
        owner = "" if self.manual else next(iter(self.groups or ()), "")
        raise usage_error(message, ex, hints, self.known, owner) from ex

    def format_help(self, *args: Any) -> str:
        """The help as text."""
        return self.manual() if self.manual else super().format_help(*args)
