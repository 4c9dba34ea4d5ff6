"""Views with noise, blur, JPEG artifacts or any other corruption."""

import numpy as np
from typing_extensions import override

from fusionseg.corruptions import SEVERITIES, named
from fusionseg.data.base import Pixels
from fusionseg.data.corrupting import corrupted
from fusionseg.data.view_changes import Others, ViewChange


class RandomCorruption(ViewChange):
    """One of several corruptions at a random severity; labels move along, and so does a channel of depth.

    `fusionseg evaluate --corruptions` leaves these families out of its mean.

    Args:
        corruptions: Names of corruptions or of families of `fusionseg.corruptions`, each as likely as the
            others.
        severities: The least and the greatest severity, in 1..5.
        probability: How often a view is changed.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        corruptions: list[str] = ["noise", "blur", "jpeg"],  # noqa: B006 (never changed)
        severities: tuple[int, int] = (1, 3),
        probability: float = 0.5,
    ) -> None:
        super().__init__(probability)
        self.groups = [named([name]) for name in corruptions]
        if not self.groups:
            raise ValueError("expected at least one corruption, found none")
        if not SEVERITIES[0] <= severities[0] <= severities[1] <= SEVERITIES[-1]:
            raise ValueError(f"expected severities 1 <= least <= greatest <= 5, found {tuple(severities)}")
        self.severities = severities

    @property
    @override
    def families(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(corruption.family for group in self.groups for corruption in group))

    @override
    def changed(self, view: Pixels, rng: np.random.Generator, others: Others | None) -> Pixels:
        group = self.groups[rng.integers(len(self.groups))]
        corruption = group[rng.integers(len(group))]
        severity = int(rng.integers(self.severities[0], self.severities[1] + 1))
        seed = int(rng.integers(2**63))
        colors = view.image.shape[2] if others is None else others.color_channels
        if corruption.rgb and colors != 3:
            return view
        return corrupted(view, corruption, severity, seed, colors)
