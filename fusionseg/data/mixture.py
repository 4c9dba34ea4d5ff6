"""Several datasets as one."""

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.config.recipe import made
from fusionseg.data.base import DataError, Labels, Pixels, SegmentationDataset, Split
from fusionseg.sample import VOID, Classes, Truth

Kinds: TypeAlias = Literal["both", "semantic", "region"]
_Renamed: TypeAlias = Mapping[str, Mapping[str, str | None]]
_Names: TypeAlias = Mapping[str, Sequence[str | None]]


class MixtureDataset(SegmentationDataset):
    """Several datasets as one: classes from one, regions from another, each as often as the weights say.

    In evaluation these are all images of all parts that have the split, and labels that do not count are not scored. In
    training each part has its share of every epoch, and none of its images comes again before all the others have.

    Classes are merged by renaming: what has one name afterwards is one class, with the color of the first. A class that
    is not mentioned keeps its name, and one that becomes null is void:
    `classes: {CamVid: {Road: street, Pavement: street, Sky: null}, mine: {road: street}}`.

    Args:
        split: Which part of the data.
        datasets: Recipes by names of your choice, with which the names of the images begin.
        weights: Share of each part in an epoch of training, relative to the others; by default its number of images.
        labels: Which labels of a part count where not both do. A part of which regions alone count adds no classes.
        classes: New names for classes of parts; or `apart`, which keeps all of them and puts the part's name before
            names that occur twice.
        epoch_length: Images in an epoch of training; by default as many as there are.

    Raises:
        DataError: The parts do not fit together, or an argument does not fit the parts.
    """

    def __init__(
        self,
        split: Split,
        datasets: dict[str, Callable[[Split], SegmentationDataset]],
        weights: dict[str, float] | None = None,
        labels: dict[str, Kinds] | None = None,
        classes: Literal["apart"] | dict[str, dict[str, str | None]] = "apart",
        epoch_length: int | None = None,
    ) -> None:
        super().__init__(split)
        kinds = dict.fromkeys(datasets, "both") | (labels or {})
        _check_names(
            datasets, weights=weights or {}, labels=kinds, classes={} if classes == "apart" else classes
        )
        _check_values(datasets, weights, kinds, epoch_length)
        splits = {name: getattr(made(recipe), "splits", self.splits) for name, recipe in datasets.items()}
        # a part that lacks the split has no images here, but its classes are the mixture's all the same
        every = {n: recipe(split if split in splits[n] else splits[n][0]) for n, recipe in datasets.items()}
        self.channels = _channels(every)
        self.classes, tables = _united({name: part.classes for name, part in every.items()}, kinds, classes)
        self.parts = [
            _Part(name, part, tables[name], kinds[name] != "semantic")
            for name, part in every.items()
            if split in splits[name]
        ]
        if not self.parts:
            raise DataError(f"expected a part with the split {split}, found none among {', '.join(datasets)}")
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
    def read(self, index: int) -> Pixels:
        part, place = self._at(index)
        image, semantic, region = part.dataset.read(place)
        return Pixels(image, *part.counted(Labels(semantic, region)))

    @override
    def labels(self, index: int) -> Labels:
        part, place = self._at(index)
        return part.counted(part.dataset.labels(place))

    @override
    def annotation(self, index: int, rng: np.random.Generator) -> npt.NDArray[np.uint16] | None:
        part, place = self._at(index)
        return part.dataset.annotation(place, rng) if part.regions else None

    @override
    def truth(self, index: int) -> Truth:
        part, place = self._at(index)
        truth = part.dataset.truth(place)
        semantic = part.table.take(truth.semantic)
        if not part.regions:
            return Truth(semantic, np.zeros_like(truth.region), has_regions=False)
        crowd = None if truth.crowd is None else part.table.take(truth.crowd)
        return Truth(semantic, truth.region, crowd, truth.others, truth.has_regions)

    @override
    def order(self, rng: np.random.Generator, among: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        part_of = np.searchsorted(self.starts, among, side="right") - 1
        pools = [among[part_of == k] - self.starts[k] for k in range(len(self.parts))]
        weights = self.weights or [len(pool) for pool in pools]
        length = self.epoch_length or len(among)
        shares = _shares(length, weights)
        for part, pool, weight, share in zip(self.parts, pools, weights, shares, strict=True):
            if weight and not (share and len(pool)):
                raise DataError(
                    f"expected images of {part.name} (weight {weight:g}) and a share of an epoch of {length} for them, "
                    f"found {len(pool)} and {share}: raise data.fraction or epoch_length, or change the weights"
                )
        turns = rng.permutation(np.repeat(np.arange(len(pools)), shares))
        order = np.empty(length, np.int64)
        for k, (part, pool) in enumerate(zip(self.parts, pools, strict=True)):
            order[turns == k] = self.starts[k] + _rounds(part.dataset, rng, pool, shares[k])
        return order

    @override
    def sources(self) -> list[object]:
        found: list[object] = []
        for name, dataset, table, regions in self.parts:
            found += [name, type(dataset), table.tobytes(), regions, *dataset.sources()]
        return found

    def _at(self, index: int) -> "tuple[_Part, int]":
        """The part that an image belongs to, and its index there."""
        if not 0 <= index < len(self):
            raise IndexError(f"expected an image in 0..{len(self) - 1}, found {index}")
        k = bisect_right(self.starts, index) - 1
        return self.parts[k], index - self.starts[k]


class _Part(NamedTuple):
    """One of the datasets, the table (256,) of its class ids in the mixture, and whether its regions count."""

    name: str
    dataset: SegmentationDataset
    table: npt.NDArray[np.uint8]
    regions: bool

    def counted(self, labels: Labels) -> Labels:
        """What counts of an image's labels."""
        return Labels(
            self.table.take(labels.semantic), labels.region if self.regions else np.zeros_like(labels.region)
        )


def _check_names(datasets: Collection[str], **settings: Mapping[str, object]) -> None:
    wrong = [name for name in datasets if not re.fullmatch(r"[\w.-]+", name)]
    if wrong or not datasets:
        raise DataError(
            f"expected datasets by names of letters, digits, '_', '-' and '.', found {wrong or 'none'}"
        )
    for setting, given in settings.items():
        if unknown := [name for name in given if name not in datasets]:
            raise DataError(
                f"expected {setting} of the parts {', '.join(datasets)}, found {', '.join(unknown)}"
            )


def _check_values(
    datasets: Collection[str],
    weights: Mapping[str, float] | None,
    kinds: Mapping[str, str],
    epoch_length: int | None,
) -> None:
    if weights is not None:
        if missing := [name for name in datasets if name not in weights]:
            raise DataError(f"expected a weight for each part, found none for {', '.join(missing)}")
        if not all(0 <= weight < math.inf for weight in weights.values()) or not any(weights.values()):
            raise DataError(f"expected weights of 0 or more, not all 0, found {dict(weights)}")
    if strange := [f"{kind} of {name}" for name, kind in kinds.items() if kind not in get_args(Kinds)]:
        raise DataError(f"expected labels {', '.join(get_args(Kinds))}, found {', '.join(strange)}")
    if epoch_length is not None and epoch_length < 1:
        raise DataError(f"expected an epoch_length above 0, found {epoch_length}")


def _channels(parts: Mapping[str, SegmentationDataset]) -> int:
    if len(channels := {part.channels for part in parts.values()}) > 1:
        found = ", ".join(f"{part.channels} in {name}" for name, part in parts.items())
        raise DataError(f"expected images of the same number of channels in all parts, found {found}")
    return channels.pop()


def _united(
    every: Mapping[str, Classes], kinds: Mapping[str, str], renamed: Literal["apart"] | _Renamed
) -> tuple[Classes, dict[str, npt.NDArray[np.uint8]]]:
    """The classes of the mixture, and for each part the table (256,) from its own class ids to theirs."""
    # without any class that counts, those that never occur are as good as any
    declared = {part: classes for part, classes in every.items() if kinds[part] != "region"} or every
    names = _apart(declared) if renamed == "apart" else _new_names(declared, every, renamed)
    colors: dict[str, tuple[int, int, int]] = {}
    thing: dict[str, bool] = {}
    for part, classes in declared.items():
        for i, name in enumerate(names[part]):
            if name is not None:
                colors.setdefault(name, classes.colors[i])
                if thing.setdefault(name, i in classes.things) != (i in classes.things):
                    raise DataError(
                        f"expected {name} to be a thing in all parts or in none: give it two names"
                    )
    position = {name: i for i, name in enumerate(colors)}
    region = "; ".join(f"{part}: {c.region}" for part, c in every.items() if kinds[part] != "semantic")
    things = tuple(position[name] for name in colors if thing[name])
    united = Classes(tuple(colors), tuple(colors.values()), things, region or Classes.region)
    tables = {part: np.full(VOID + 1, VOID, np.uint8) for part in every}
    for part in (part for part in declared if kinds[part] != "region"):
        tables[part][: len(names[part])] = [VOID if name is None else position[name] for name in names[part]]
    return united, tables


def _apart(declared: Mapping[str, Classes]) -> _Names:
    """The names of the classes of each part, such that no two are the same."""
    counts = Counter(name for classes in declared.values() for name in classes.names)
    names = {p: [n if counts[n] == 1 else f"{p} {n}" for n in c.names] for p, c in declared.items()}
    counts = Counter(name for part in names.values() for name in part)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise DataError(
            f"expected classes with different names in a part, found {', '.join(twice)} more than once"
        )
    return names


def _new_names(declared: Mapping[str, Classes], every: Mapping[str, Classes], renamed: _Renamed) -> _Names:
    """The names of the classes of each part after renaming."""
    for part, new in renamed.items():
        if unknown := [name for name in new if name not in every[part].names]:
            known = ", ".join(every[part].names)
            raise DataError(f"expected classes of {part} ({known}), found {', '.join(unknown)}")
    return {
        part: [renamed.get(part, {}).get(n, n) for n in classes.names] for part, classes in declared.items()
    }


def _shares(length: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers that add up to `length`, each within 1 of its weight's share (the largest remainders win)."""
    if not sum(weights):
        raise DataError("expected a weight above 0 for a part with the split train, found none")
    exact = length * np.asarray(weights, np.float64) / sum(weights)
    shares = np.floor(exact).astype(np.int64)
    shares[np.argsort(shares - exact, kind="stable")[: length - shares.sum()]] += 1
    return shares.tolist()  # type: ignore[no-any-return]


def _rounds(
    dataset: SegmentationDataset, rng: np.random.Generator, pool: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """So many images of a part: all of them, as often as needed, each time in a new order."""
    drawn = np.empty(0, np.int64)
    while len(drawn) < count:
        drawn = np.concatenate([drawn, dataset.order(rng, pool)])
    return drawn[:count]
