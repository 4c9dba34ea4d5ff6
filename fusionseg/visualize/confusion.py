"""A confusion matrix as a picture."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fusionseg.sample import Array, Classes, Picture
from fusionseg.visualize.curves import drawn

if TYPE_CHECKING:  # importing matplotlib takes half a second
    from matplotlib.axes import Axes

FEW = 30
"""So many classes have cells in which a number can be read."""

DARK_FROM = 0.55
"""The share from which on a cell is so dark that its number is white."""


def row_shares(counts: Array) -> npt.NDArray[np.float64]:
    """The shares of a class's true pixels that are predicted as each class (C, C); NaN without true pixels.

    >>> row_shares(np.array([[3, 1], [0, 0]])).tolist()
    [[0.75, 0.25], [nan, nan]]

    Args:
        counts: The confusion matrix (C, C), true classes in rows and predicted ones in columns.
    """
    pixels = counts.sum(1, keepdims=True).astype(np.float64)
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, pixels, out=shares, where=pixels > 0)
    return shares


def confusion_picture(counts: Array, classes: Classes, title: str) -> Picture:
    """A confusion matrix, each row of which is divided by its sum; a class without true pixels is gray.

    Of up to `FEW` classes the shares are written into the cells, in percent.

    Args:
        counts: The confusion matrix (C, C), true classes in rows and predicted ones in columns.
        classes: The classes.
        title: What it is of.

    Returns:
        An RGB picture (H, W, 3), uint8.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    shares = row_shares(counts)
    few = len(classes) <= FEW
    cell = 0.45 if few else 0.13
    side = max(cell * len(classes) + 2.5, 4.5)
    figure = Figure((side + 0.8, side), dpi=100, layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(shares, cmap=colormaps["Blues"].with_extremes(bad="0.9"), vmin=0, vmax=1)
    names = [name if len(name) <= 24 else f"{name[:23]}…" for name in classes.names]
    size = 9 if few else 6.5
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    ax.set_yticks(range(len(names)), names, fontsize=size)
    ax.set(title=title, xlabel="predicted", ylabel="true")
    if few:
        _write(ax, shares)
    figure.colorbar(image, label="share of the true pixels", shrink=0.6)
    return drawn(figure)


def _write(ax: "Axes", shares: npt.NDArray[np.float64]) -> None:
    """Writes the shares of half a percent and more into their cells."""
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            tone = "white" if share > DARK_FROM else "#1b1d21"
            ax.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=tone)
