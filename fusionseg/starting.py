"""The seconds in which a command imports what it needs."""

import sys
from types import TracebackType


def interruptible() -> None:
    """Has Ctrl-C end this process with a word and the code 130 instead of a traceback, wherever it comes."""
    before = sys.excepthook

    def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            before(kind, error, trace)
            return
        print("interrupted", file=sys.stderr)
        sys.exit(130)

    sys.excepthook = told
