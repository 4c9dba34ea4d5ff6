"""Optuna's samplers and pruners by their names, and whether they can be used."""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fusionseg.config.errors import UsageError
from fusionseg.config.type_names import nearest
from fusionseg.studies.search.declaration import Part, Search

if TYPE_CHECKING:
    import optuna

INSTALL = 'pip install "fusionseg[study]"'
SEQUENCES = ("QMCSampler",)
"""Samplers whose trials are one sequence, which the seed is of and the storage counts."""


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna without its lines about each trial and its notices of what is experimental."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def sampler_of(search: Search, number: int) -> "optuna.samplers.BaseSampler":
    """The sampler that draws a trial: chance is a function of its seed and the trial's number.

    So a study that goes on, and another machine that draws in it, repeat no trial.

    Args:
        search: The search.
        number: The trial's number.
    """
    import numpy as np
    import optuna

    arguments = dict(search.sampler.arguments)
    made = _class(optuna.samplers, search.sampler, "sampler")
    if "seed" in inspect.signature(made).parameters:
        seed = int(arguments.get("seed") or 0)
        own = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
        arguments["seed"] = seed if search.sampler.name in SEQUENCES else own
    return _built(made, Part(search.sampler.name, arguments), "sampler")  # type: ignore[no-any-return]


def pruner_of(search: Search) -> "optuna.pruners.BasePruner":
    """The pruner; one that prunes nothing where none is wanted."""
    import optuna

    part = search.pruner or Part("NopPruner")
    return _built(_class(optuna.pruners, part, "pruner"), part, "pruner")  # type: ignore[no-any-return]


def check_parts(search: Search) -> None:
    """Checks that Optuna is there and takes the sampler, the pruner and the space, by a few trials in memory.

    Raises:
        UsageError: If not.
    """
    try:
        import optuna
    except ImportError as error:
        raise UsageError(f"a search needs optuna: {INSTALL}", "search") from error
    with quiet():
        pruner_of(search)
        study = optuna.create_study(directions=[one.direction for one in search.objectives])
        for number in range(3):
            study.sampler = sampler_of(search, number)
            try:
                trial = study.ask()
                for parameter in search.space:
                    parameter.suggested(trial)
                study.tell(trial, [float(number)] * len(search.objectives))
            except (ImportError, ValueError, TypeError) as error:
                reason = str(error).strip().splitlines()[0]
                raise UsageError(f"{search.sampler.name} cannot draw: {reason}", "search.sampler") from error


def _class(module: ModuleType, part: Part, key: str) -> Any:
    kind = f"{key.capitalize()}"
    known = [name for name in module.__all__ if name.endswith(kind) and not name.startswith("Base")]
    if part.name not in known:
        raise UsageError(f"no such {key} of Optuna{nearest(part.name, known)}", f"search.{key}")
    return getattr(module, part.name)


def _built(made: Any, part: Part, key: str) -> Any:
    try:
        return made(**part.arguments)
    except (ImportError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{part.name} cannot be built: {reason}", f"search.{key}") from error
