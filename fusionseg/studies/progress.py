"""How far a study is."""

from dataclasses import dataclass, field


@dataclass
class Progress:
    """What is known of each run while a study runs.

    Attributes:
        total: Runs that the study asks for.
        lower_is_better: Whether the lowest of the deciding figures is the best.
        finished: Runs with figures, those of earlier drivers too.
        running: Folders of the runs that are computed now.
        waiting: Folders of the runs that wait for a process that trains in them, and which process that is.
        failed: Folders of the runs that failed for good.
        pruned: Folders of the runs that a search gave up.
        durations: Seconds of each finished run of which it is known, on whatever machine.
        scores: The deciding figure of each finished run, by variant.
        tasks: Which tasks the finished runs were measured on, each set once.
    """

    total: int
    lower_is_better: bool = False
    finished: int = 0
    running: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)
    tasks: set[frozenset[str]] = field(default_factory=set)

    def seconds_left(self, slots: int) -> float | None:
        """Estimated seconds until the end; None before any run has ended."""
        if not self.durations:
            return None
        left = self.total - self.finished - len(self.failed) - len(self.pruned) - len(self.running) / 2
        return max(0.0, left) * sum(self.durations) / len(self.durations) / slots

    def best(self) -> tuple[str, float] | None:
        """The variant with the best mean so far; None where variants have different tasks to be good at."""
        if len(self.tasks) > 1:
            return None
        means = {name: sum(values) / len(values) for name, values in self.scores.items()}
        sign = -1 if self.lower_is_better else 1
        return max(means.items(), key=lambda item: sign * item[1]) if means else None
