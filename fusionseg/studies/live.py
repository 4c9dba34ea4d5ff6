"""A table of a study while it runs, or one line for each change where output is no terminal."""

import sys
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from fusionseg.studies.progress import Progress


class Display:
    """Shows how far a study is: runs finished, running and failed, best so far, time left.

    Args:
        name: The study's name.
        slots: Runs at once.
    """

    def __init__(self, name: str, slots: int) -> None:
        self.name = name
        self.slots = slots
        self.console = Console(stderr=True)
        self.live: Live | None = None
        self.line = ""

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self.live = Live(console=self.console, transient=True, refresh_per_second=2)
            self.live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.__exit__(None, None, None)

    def show(self, progress: Progress) -> None:
        """Draws what is known."""
        if self.live is not None:
            self.live.update(self._table(progress))
            return
        best = progress.best()
        parts = [
            f"{progress.finished} of {progress.total} runs",
            f"{len(progress.running)} running",
            *_waiting(progress),
            *([f"{len(progress.failed)} failed"] if progress.failed else []),
            *([f"{len(progress.pruned)} pruned"] if progress.pruned else []),
            *([f"best {best[0]} {best[1]:.4f}"] if best else []),
        ]
        line = "  ".join(parts)
        if line != self.line:
            self.line = line
            print(f"{self.name}: {line}  left {self._left(progress)}", file=sys.stderr)

    def _left(self, progress: Progress) -> str:
        return duration(progress.seconds_left(self.slots))

    def _table(self, progress: Progress) -> Table:
        best = progress.best()
        table = Table(title=f"{self.name}  {time.strftime('%H:%M:%S')}", show_header=False)
        table.add_row("runs finished", f"{progress.finished} of {progress.total}")
        table.add_row("running", "\n".join(progress.running) or "-")
        if progress.waiting:
            table.add_row("waiting", "\n".join(_waiting(progress)))
        table.add_row("failed", "\n".join(progress.failed) or "-")
        if progress.pruned:
            table.add_row("pruned", str(len(progress.pruned)))
        table.add_row("best so far", f"{best[0]}  {best[1]:.4f}" if best else "-")
        table.add_row("time left", self._left(progress))
        return table


def _waiting(progress: Progress) -> list[str]:
    """A phrase for each run that waits."""
    return [f"waiting for {run}, which {who} trains in" for run, who in progress.waiting.items()]


def duration(seconds: float | None) -> str:
    """Seconds as people write them.

    >>> duration(4000), duration(75), duration(None)
    ('1 h 06 min', '1 min 15 s', 'unknown')
    """
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s"
