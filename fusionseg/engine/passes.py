"""How a network sees an image: at once or in tiles, mirrored too, and at several sizes."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from itertools import product
from typing import Any

from torch import Tensor

from fusionseg.config.errors import UsageError, UserError
from fusionseg.engine.copies import aligned, enlarged, resampled
from fusionseg.engine.predictions import padded
from fusionseg.engine.tiles import Canvas, starts
from fusionseg.heads import Head
from fusionseg.heads.dense import Dense
from fusionseg.losses.enlarging import wide
from fusionseg.networks.backbone import STRIDE
from fusionseg.networks.base import Outputs
from fusionseg.sample import Prediction, Sample


@dataclass(frozen=True)
class Passes:
    """The passes of an image through a network whose outputs become one, before they are decoded.

    Args:
        tile: Height and width of the parts in which the network sees an image, in pixels of its input; as a
            whole where left out. Rounded up to a multiple of 32.
        overlap: How many pixels two neighboring parts share, rounded up to a multiple of 32. They are blended
            in the middle quarter, and what lies nearer to a part's edge is the other part's.
        flip: Whether mirrored images are seen too.
        scales: Further sizes of the image, relative to that of the network's input.

    Raises:
        UsageError: If the overlap is not smaller than a tile, or a number not positive.
    """

    tile: int | None = None
    overlap: int = 128
    flip: bool = False
    scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.tile is not None and self.tile < 1:
            raise UsageError(f"expected tiles of at least 1 pixel, found {self.tile}", "tile")
        if self.overlap < 0:
            raise UsageError(f"expected an overlap of at least 0 pixels, found {self.overlap}", "overlap")
        if self.tile is not None and aligned(self.overlap) >= aligned(self.tile):
            raise UsageError(
                f"expected an overlap smaller than the tile, found {aligned(self.overlap)} and "
                f"{aligned(self.tile)} pixels, as multiples of {STRIDE}",
                "overlap",
            )
        if wrong := [scale for scale in self.scales if not 0 < scale < float("inf")]:
            raise UsageError(f"expected sizes above 0, found {wrong[0]}", "tta")

    @classmethod
    def of(
        cls, tile: int | None = None, overlap: int = 128, tta: str | Sequence[str | float] = ()
    ) -> "Passes":
        """The passes that a command line describes.

        >>> Passes.of(tta="flip,0.75,1.25")
        Passes(tile=None, overlap=128, flip=True, scales=(0.75, 1.25))

        Args:
            tile: As above.
            overlap: As above.
            tta: Test-time augmentation: `flip`, and sizes relative to the network's input, as a list or with
                commas between.

        Raises:
            UsageError: If something is neither, or out of range.
        """
        words = (
            [word.strip() for word in tta.split(",") if word.strip()] if isinstance(tta, str) else list(tta)
        )
        sizes = []
        for word in words:
            try:
                sizes += [] if word == "flip" else [float(word)]
            except ValueError:
                raise UsageError(f"expected flip or sizes such as 0.75, found {word!r}", "tta") from None
        once = dict.fromkeys(size for size in sizes if size != 1)
        return cls(tile, overlap, "flip" in words, tuple(once))

    @property
    def record(self) -> dict[str, Any]:
        """What is to be known of answers; empty for whole images."""
        found: dict[str, Any] = {}
        if self.tile is not None:
            found |= {"tile": aligned(self.tile), "overlap": aligned(self.overlap)}
        if self.flip or self.scales:
            found["tta"] = [*(["flip"] if self.flip else []), *self.scales]
        return found

    @property
    def name(self) -> str:
        """The name of a folder for what is measured so; empty for whole images.

        >>> Passes(tile=1024, flip=True, scales=(0.75,)).name
        'tile-1024-128_tta-flip-0.75'
        """
        found = self.record
        words = [["tta", *found["tta"]]] if "tta" in found else []
        if "tile" in found:
            words.insert(0, ["tile", found["tile"], found["overlap"]])
        return "_".join("-".join(map(str, each)) for each in words)

    @property
    def plain(self) -> bool:
        """Whether the network sees each image once, as a whole."""
        return self.tile is None and not self.flip and not self.scales

    def check(self, heads: Mapping[str, Head]) -> None:
        """Checks that the outputs of heads can be put together.

        Raises:
            UserError: If that of one belongs to the image as a whole.
        """
        whole = [type(head).__name__ for head in heads.values() if not isinstance(head, Dense)]
        if whole and not self.plain:
            raise UserError(
                f"expected heads with an output for each pixel, found {' and '.join(whole)}, whose output "
                "belongs to the image as a whole: leave out tile and tta"
            )

    def outputs(
        self, network: Callable[[Tensor], list[Outputs]], heads: Mapping[str, Head], image: Tensor
    ) -> Outputs:
        """The outputs of the last refinement for images, padded to sides that are multiples of 32.

        Args:
            network: Gives the outputs for padded images.
            heads: The head of each task.
            image: The images (B, C, H, W).

        Raises:
            UserError: As `check`.
        """
        self.check(heads)
        found = self._seen(network, image)
        if not self.flip and not self.scales:
            return found
        several = {task: [wide(output)] for task, output in found.items()}
        width = aligned(image.shape[3])
        for scale, mirrored in self._further():
            seen = enlarged(image, scale)
            outputs = self._seen(network, seen.flip(-1) if mirrored else seen)
            for task, known in several.items():
                head: Any = heads[task]
                size = known[0].shape[2:]
                output = resampled(wide(outputs[task]), size, image.shape[2:], seen.shape[2:], mirrored)
                output = head.mirrored(output, width) if mirrored else output
                known.append(head.rescaled(output, scale))
        return {task: _averaged(heads[task], known) for task, known in several.items()}

    def _further(self) -> Iterator[tuple[float, bool]]:
        """The size of each pass but the first, and whether it is of mirrored images."""
        flips = (False, True) if self.flip else (False,)
        return (one for one in product((1.0, *self.scales), flips) if one != (1.0, False))

    def _seen(self, network: Callable[[Tensor], list[Outputs]], image: Tensor) -> Outputs:
        """The outputs for images (B, C, H, W), in tiles where they are larger than one."""
        image = padded({"image": image})["image"]
        height, width = image.shape[-2:]
        if self.tile is None or max(height, width) <= self.tile:
            return network(image)[-1]
        tile = aligned(self.tile)
        rows, columns = (starts(side, tile, aligned(self.overlap)) for side in (height, width))
        canvases: dict[str, Canvas] = {}
        for top, left in product(rows, columns):
            window = image[..., top : top + tile, left : left + tile]
            for task, output in network(window)[-1].items():
                if task not in canvases:
                    canvases[task] = Canvas(output, window.shape[-2:], (height, width), aligned(self.overlap))
                canvases[task].add(output, top, left)
        return {task: canvas.values for task, canvas in canvases.items()}


WHOLE = Passes()
"""The network sees each image once, as a whole."""


def answering(
    module: Any, extras: Collection[str] = (), passes: Passes = WHOLE
) -> Callable[[Sample, tuple[int, int]], list[Prediction]]:
    """The `predictions` of a LightningModule for a batch and the height and width of its label files.

    Args:
        module: The LightningModule.
        extras: What is wanted besides labels, if the module knows of any.
        passes: How it sees images.

    Raises:
        UserError: If it sees them in one way only.
    """
    answer: Callable[..., list[Prediction]] = module.predictions
    known = signature(answer).parameters
    given: dict[str, Any] = {"extras": extras} if extras and "extras" in known else {}
    if not passes.plain:
        if "passes" not in known:
            raise UserError(
                f"expected `predictions(batch, size, passes=...)` in {type(module).__name__}, found none: "
                "leave out tile and tta"
            )
        passes.check(module.heads)
        given["passes"] = passes
    return partial(answer, **given)


def _averaged(head: Any, outputs: Sequence[Tensor]) -> Tensor:
    """The output of the mean of what a dense head predicts."""
    average: Tensor = head.averaged(outputs)
    return average
