"""Studies: many runs from one file, their results and their statistics."""

from fusionseg.studies.results import Results, RunResult, collect, load

__all__ = ["Results", "RunResult", "collect", "load"]
