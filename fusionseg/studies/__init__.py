"""Studies: many runs from one file, their results and their statistics."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusionseg.studies.report.frames import tables
    from fusionseg.studies.results import Results, collect, load
    from fusionseg.studies.run_result import RunResult

__all__ = ["Results", "RunResult", "collect", "load", "tables"]


def __getattr__(name: str) -> Any:
    """Imported on demand, so that the statistics can be used without torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "report.frames" if name == "tables" else "results"
    return getattr(import_module(f"{__name__}.{home}"), name)
