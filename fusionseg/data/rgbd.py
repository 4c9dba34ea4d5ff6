"""Images with depth as a fourth channel."""

from collections.abc import Callable

from typing_extensions import override

from fusionseg.config.errors import UserError
from fusionseg.data.base import DataError, Pixels, SegmentationDataset, Split
from fusionseg.data.subset import Subset
from fusionseg.files.surface_maps import with_depth


class RGBD(Subset):
    """A dataset that has depth, with it as the last channel of its images: RGB-D.

    The channel holds depth from 0, where it is not known, to `depth_limit` in 16 bits, in steps of 0.15
    millimeters at 10 meters; the other channels are as before, in 16 bits too. Views for training move it
    with the image, by linear interpolation, and change colors in the first three channels alone. The label
    `depth` stays, so that a head may learn it as well: depth is input, target, or both.

    The encoder needs `model.backbone.in_channels: 4`; pretrained weights of three channels are widened.
    Predictions take an image with its depth (`fusionseg predict --depth`, `PhotoWithDepth`).

    Args:
        split: Which part of the data.
        dataset: Recipe of the dataset.
        depth_limit: The depth in meters that the largest value stands for; what is farther has it too.

    Raises:
        DataError: The dataset has no depth.
        ValueError: The limit is not above 0.

    Examples:
        >>> from functools import partial
        >>> from fusionseg.data import SyntheticScenes
        >>> scenes = RGBD("val", partial(SyntheticScenes, depth=True))
        >>> scenes.read(0).image.shape, scenes.read(0).image.dtype.name, scenes.kinds
        ((128, 128, 4), 'uint16', ('depth',))
    """

    def __init__(
        self,
        split: Split,
        dataset: Callable[[Split], SegmentationDataset],
        depth_limit: float = 10.0,
    ) -> None:
        inner = dataset(split)
        super().__init__(inner, range(len(inner)))
        if depth_limit <= 0:
            raise ValueError(f"expected a depth_limit above 0, found {depth_limit}")
        if "depth" not in inner.kinds:
            found = f"{type(inner).__name__} with {', '.join(inner.kinds) or 'none'}"
            raise DataError(
                f"expected a dataset with labels of depth in meters, found {found}: set `depth` where it is "
                "an argument of the dataset; disparity and inverse depth are no input"
            )
        self.channels = inner.channels + 1
        self.depth_limit = depth_limit
        self._limit = depth_limit

    @override
    def read(self, index: int) -> Pixels:
        pixels = self.dataset.read(index)
        try:
            image = with_depth(pixels.image, pixels.maps["depth"], self._limit)
        except UserError as error:
            raise DataError(f"{error} in {self.name(index)}") from error
        return pixels._replace(image=image)

    @override
    def sources(self) -> list[object]:
        return [self._limit, *super().sources()]
