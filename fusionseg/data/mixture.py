"""A dataset that mixes several datasets."""

import functools
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.config.recipe import made
from fusionseg.data.base import (
    NO_MAPS,
    DataError,
    LabelMap,
    Labels,
    Pixels,
    SegmentationDataset,
    Split,
    channels_first,
)
from fusionseg.data.merged_classes import Counting, merged_classes
from fusionseg.data.mixture_checks import (
    channels_of,
    check_part_maps,
    check_part_names,
    check_part_values,
    unit_notices,
)
from fusionseg.data.rounding import Repeats
from fusionseg.data.shares import check_shares, rounds, shares_of
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import Truth


class MixtureDataset(SegmentationDataset):
    """Several datasets as one, such as classes from one and regions from another.

    Evaluation takes all images of all parts that have the split, and labels that do not count are not scored.
    In training each part has its share of every epoch, and no image is repeated before all others of its part
    were taken.

    Classes are merged by renaming: classes of one name become one class, with the color of the first. A class
    that is not mentioned keeps its name, and one that is renamed to null becomes void: `classes: {CamVid:
    {Road: street, Pavement: street, Sky: null}, mine: {road: street}}`.

    The mixture has the further kinds of labels (`depth`, `normals` ...) of all parts together. The images of
    a part that lacks a kind have a map of zeros, that is without valid labels, so that any images make a
    batch. Values of a kind are taken as they are, whatever unit a part has; a notice says where units differ.

    Args:
        split: Which part of the data.
        datasets: Recipes by names of your choice; the images' names begin with these.
        weights: Share of each part in an epoch of training, relative to the others; by default its number of
            images.
        labels: Whether only classes (`semantic`) or only regions (`region`) of a part count; by default both.
            A part whose classes do not count adds none. Further kinds of labels always count.
        classes: New names for classes of parts; or `apart`, which keeps all classes and puts the part's name
            before names that occur twice.
        epoch_length: Images in an epoch of training; by default the number of all images.

    Raises:
        DataError: The parts do not fit together, or an argument does not fit the parts.
    """

    def __init__(
        self,
        split: Split,
        datasets: dict[str, Callable[[Split], SegmentationDataset]],
        weights: dict[str, float] | None = None,
        labels: dict[str, Counting] | None = None,
        classes: Literal["apart"] | dict[str, dict[str, str | None]] = "apart",
        epoch_length: int | None = None,
    ) -> None:
        super().__init__(split)
        counting = dict.fromkeys(datasets, "both") | (labels or {})
        renamed = {} if classes == "apart" else classes
        check_part_names(datasets, weights=weights or {}, labels=counting, classes=renamed)
        check_part_values(datasets, weights, counting, epoch_length)
        splits = {name: getattr(made(recipe), "splits", self.splits) for name, recipe in datasets.items()}
        if not any(split in known for known in splits.values()):
            raise DataError(f"expected a part with the split {split}, found none among {', '.join(datasets)}")
        # A part that lacks the split has no images here, but the mixture has its classes and kinds all the
        # same.
        every = {
            name: recipe(split if split in splits[name] else splits[name][0])
            for name, recipe in datasets.items()
        }
        check_part_maps(every)
        self.every = every
        self.channels = channels_of(every)
        notices = [f"{name}: {line}" for name, part in every.items() for line in part.notices]
        self.notices = (*notices, *unit_notices(every))
        ranges = {dataset.value_range for dataset in every.values()}
        self.value_range = ranges.pop() if len(ranges) == 1 else None
        limits = {dataset.depth_limit for dataset in every.values()}
        if len(limits) > 1:
            raise DataError(f"expected one depth_limit for all parts, found {', '.join(map(str, limits))}")
        self.depth_limit = limits.pop()
        self.kinds = tuple(dict.fromkeys(kind for dataset in every.values() for kind in dataset.kinds))
        self.verified = "; ".join(f"{name}: {part.verified}" for name, part in every.items() if part.verified)
        self.download = tuple(
            part._replace(file=f"{name}: {part.file}") for name, one in every.items() for part in one.download
        )
        declared = {name: dataset.classes for name, dataset in every.items()}
        self.classes, tables = merged_classes(declared, counting, classes)
        self.parts = [
            _Part(name, dataset, tables[name], counting[name] != "semantic")
            for name, dataset in every.items()
            if split in splits[name]
        ]
        self.starts = [0, *accumulate(len(part.dataset) for part in self.parts)]
        self.weights = weights and [weights[part.name] for part in self.parts]
        self.epoch_length = epoch_length

    def __len__(self) -> int:
        return self.starts[-1]

    @override
    def name(self, index: int) -> str:
        part, place = self._at(index)
        return f"{part.name}-{part.dataset.name(place)}"

    @override
    def photo(self, index: int) -> ReadablePath | None:
        part, place = self._at(index)
        return part.dataset.photo(place)

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        part, place = self._at(index)
        return part.dataset.image_size(place)

    @override
    def group(self, index: int) -> str | None:
        part, place = self._at(index)
        group = part.dataset.group(place)
        return None if group is None else f"{part.name}-{group}"

    @override
    def read(self, index: int) -> Pixels:
        part, place = self._at(index)
        pixels = part.dataset.read(place)
        return Pixels(pixels.image, *self._counted(part, Labels(*pixels[1:])))

    @override
    def labels(self, index: int) -> Labels:
        part, place = self._at(index)
        return self._counted(part, part.dataset.labels(place))

    @override
    def has_labels(self, index: int) -> bool:
        part, place = self._at(index)
        return part.dataset.has_labels(place)

    @override
    def annotation(self, index: int, rng: np.random.Generator) -> npt.NDArray[np.uint16] | None:
        part, place = self._at(index)
        return part.dataset.annotation(place, rng) if part.regions else None

    @override
    def truth(self, index: int) -> Truth:
        part, place = self._at(index)
        truth = part.dataset.truth(place)
        semantic = part.table.take(truth.semantic)
        absent = {kind: self._zeros(kind, semantic.shape) for kind in self.kinds if kind not in truth.maps}
        maps = {**truth.maps, **channels_first(absent)}
        if not part.regions:
            return Truth(semantic, np.zeros_like(truth.region), has_regions=False, maps=maps)
        crowd = None if truth.crowd is None else part.table.take(truth.crowd)
        return Truth(semantic, truth.region, crowd, truth.others, truth.has_regions, maps)

    @override
    def order(
        self, rng: np.random.Generator, among: npt.NDArray[np.int64], repeats: Repeats | None = None
    ) -> npt.NDArray[np.int64]:
        part_of = np.searchsorted(self.starts, among, side="right") - 1
        pools = [among[part_of == k] - self.starts[k] for k in range(len(self.parts))]
        often = np.ones(len(among)) if repeats is None else repeats
        wanted = [often[part_of == k] for k in range(len(self.parts))]
        weights = self.weights or [part.sum() for part in wanted]
        length = self.epoch_length or round(often.sum())
        shares = shares_of(length, weights)
        if (
            self.weights or repeats is None
        ):  # else a part may be wanted so little that an epoch has none of it
            names = [part.name for part in self.parts]
            check_shares(dict(zip(names, weights, strict=True)), list(map(len, pools)), shares, length)
        turns = rng.permutation(np.repeat(np.arange(len(pools)), shares))
        order = np.empty(length, np.int64)
        for k, (part, pool) in enumerate(zip(self.parts, pools, strict=True)):
            own = None if repeats is None else wanted[k]
            order[turns == k] = self.starts[k] + rounds(part.dataset, rng, pool, shares[k], own)
        return order

    @override
    def sources(self) -> list[object]:
        sources: list[object] = []
        for name, dataset, table, regions in self.parts:
            sources += [name, type(dataset), table.tobytes(), regions, *dataset.sources()]
        return sources

    def _counted(self, part: "_Part", labels: Labels) -> Labels:
        """The labels of an image that count, with the mixture's classes and kinds."""
        region = labels.region if part.regions else np.zeros_like(labels.region)
        maps = {
            kind: labels.maps[kind] if kind in labels.maps else self._zeros(kind, region.shape)
            for kind in self.kinds
        }
        return Labels(part.table.take(labels.semantic), region, maps or NO_MAPS)

    def _zeros(self, kind: str, size: tuple[int, ...]) -> LabelMap:
        """A map without valid labels for an image (H, W) of a part that lacks the kind."""
        return np.zeros((*size, *self._map_channels[kind]), np.float32)

    @functools.cached_property
    def _map_channels(self) -> dict[str, tuple[int, ...]]:
        """The axes behind (H, W) of each kind of map, as in the first image of a part that has it."""
        channels: dict[str, tuple[int, ...]] = {}
        for dataset in self.every.values():
            if set(dataset.kinds) - set(channels):
                first = dataset.labels(0).maps
                channels = {kind: first[kind].shape[2:] for kind in dataset.kinds} | channels
        return channels

    def _at(self, index: int) -> "tuple[_Part, int]":
        """The part that an image belongs to, and its index there."""
        if not 0 <= index < len(self):
            raise IndexError(f"expected an image in 0..{len(self) - 1}, found {index}")
        k = bisect_right(self.starts, index) - 1
        return self.parts[k], index - self.starts[k]


class _Part(NamedTuple):
    """One of the datasets, the table (256,) from its class ids to the mixture's, and if its regions count."""

    name: str
    dataset: SegmentationDataset
    table: npt.NDArray[np.uint8]
    regions: bool
