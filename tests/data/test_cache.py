import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fusionseg.data import cache, room
from fusionseg.data.base import DataError, Labels, Pixels, SegmentationDataset, Split
from fusionseg.data.cache import Cache, cached
from fusionseg.data.room import check_memory
from fusionseg.data.subset import Subset, fraction_of
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.sample import Truth


class Sizes(SyntheticScenes):
    """Scenes of several sizes and four channels, counting how often one is drawn."""

    channels = 4
    drawn = 0

    def read(self, index: int) -> Pixels:
        type(self).drawn += 1
        image, semantic, region, _ = SyntheticScenes("train", size=(33 + index, 47 + 2 * index)).read(index)
        return Pixels(np.dstack((image, image[..., 0])), semantic, region)


@pytest.mark.parametrize("kind", ["none", "memory", "disk"])
def test_a_cache_gives_what_the_dataset_gives(kind: Cache, tmp_path: Path) -> None:
    dataset = Sizes("train", length=6)
    kept = cached(dataset, kind, tmp_path)
    assert len(kept) == 6
    for index in (5, 0, 3):
        ours, theirs = kept.read(index), dataset.read(index)
        assert [plane.dtype for plane in ours[:3]] == [np.uint8, np.uint8, np.uint16]
        assert all(map(np.array_equal, ours[:3], theirs[:3]))
        assert np.array_equal(kept.labels(index).region, dataset.labels(index).region)
        assert kept.name(index) == dataset.name(index)
        assert np.array_equal(kept.truth(index).region, dataset.truth(index).region)
    assert (kept.classes, kept.channels, kept.split) == (dataset.classes, 4, "train")


class Deep(SyntheticScenes):
    """Scenes of several sizes, many of them odd, with depth, normals and a map of one channel."""

    def __init__(self, split: Split, length: int) -> None:
        super().__init__(split, length)
        self.kinds = ("normals", "mask", "depth")

    def read(self, index: int) -> Pixels:
        scenes = SyntheticScenes("train", size=(33 + index, 47 + 2 * index), depth=True, normals=True)
        pixels = scenes.read(index)
        mask = (pixels.semantic[..., None] > 1).astype(np.float32)
        return pixels._replace(maps={**pixels.maps, "mask": mask})


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_cache_keeps_further_maps(kind: Cache, tmp_path: Path) -> None:
    dataset = Deep("train", length=4)
    kept = cached(dataset, kind, tmp_path)
    assert kept.kinds == dataset.kinds
    for index in (3, 0, 2, 1):
        theirs = dataset.read(index)
        for ours in (kept.read(index), kept.labels(index)):
            assert np.array_equal(ours.region, theirs.region)
            assert ours.maps.keys() == theirs.maps.keys()
            for name, plane in theirs.maps.items():
                assert ours.maps[name].dtype == np.float32
                assert ours.maps[name].flags.aligned
                assert np.array_equal(ours.maps[name], plane)
        assert np.array_equal(kept.truth(index).maps["normals"], np.moveaxis(theirs.maps["normals"], 2, 0))


class Wide(Deep):
    """The same with images of 16 bits and of floats in turn."""

    def read(self, index: int) -> Pixels:
        pixels = super().read(index)
        wide = pixels.image.astype(np.uint16) * 257
        return pixels._replace(image=wide if index % 2 else (wide / 65535).astype(np.float32))


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_cache_keeps_the_precision_of_images(kind: Cache, tmp_path: Path) -> None:
    dataset = Wide("train", length=4)
    kept = cached(dataset, kind, tmp_path)
    for index in range(4):
        ours, theirs = kept.read(index), dataset.read(index)
        assert ours.image.dtype == theirs.image.dtype
        assert ours.image.flags.aligned
        assert all(map(np.array_equal, ours[:3], theirs[:3]))
        assert np.array_equal(ours.maps["depth"], theirs.maps["depth"])


def test_further_maps_make_another_file_and_need_their_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, deep = (SyntheticScenes("train", length=3, depth=depth) for depth in (False, True))
    assert cache.content_key(plain) != cache.content_key(deep)
    monkeypatch.setattr(room, "_free_memory", lambda: 3 * 128 * 128 * 8)
    cached(plain, "memory")
    with pytest.raises(DataError, match="fit into memory"):
        cached(deep, "memory")


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_filled_cache_draws_nothing(kind: Cache, tmp_path: Path) -> None:
    kept = cached(Sizes("train", length=3), kind, tmp_path)
    before = Sizes.drawn
    kept.read(2), kept.labels(1)
    assert Sizes.drawn == before


def test_a_second_run_takes_the_file_as_it_is_and_another_dataset_does_not(tmp_path: Path) -> None:
    cached(Sizes("train", length=3), "disk", tmp_path)
    before = Sizes.drawn
    cached(Sizes("train", length=3), "disk", tmp_path)
    assert Sizes.drawn == before
    others: list[SegmentationDataset] = [
        Sizes("train", length=4),
        Sizes("val", length=3),
        Sizes("train", length=3, seed=1),
        SyntheticScenes("train", length=3),
        Subset(Sizes("train", length=3), [1]),
        Subset(SyntheticScenes("train", length=3), [1]),
    ]
    for count, other in enumerate(others, 2):
        cached(other, "disk", tmp_path)
        assert len(list(tmp_path.glob("*.npy"))) == count
    assert {path.suffix for path in tmp_path.iterdir()} == {".pixels", ".npy"}
    assert not list(tmp_path.glob(".*"))


def test_a_cache_whose_filling_fails_leaves_nothing_and_is_filled_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(OSError, match="No space left"):
            cached(Sizes("train", length=3), "disk", tmp_path)
    assert not list(tmp_path.glob("*.npy"))
    assert not list(tmp_path.glob(".*"))
    kept = cached(Sizes("train", length=3), "disk", tmp_path)
    assert np.array_equal(kept.read(2).image, Sizes("train", length=3).read(2).image)


def test_of_runs_that_begin_at_once_one_fills_the_file_and_the_others_wait(tmp_path: Path) -> None:
    class Slow(Sizes):
        drawn = 0

        def read(self, index: int) -> Pixels:
            time.sleep(0.05)
            return super().read(index)

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: cached(Slow("train", length=4), "disk", tmp_path), range(3)))
    assert Slow.drawn == 4 + 4  # some are looked at first, for the room that they need
    assert len({one.read(3).image.tobytes() for one in found}) == 1
    assert {path.suffix for path in tmp_path.iterdir()} == {".pixels", ".npy"}


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_what_is_scored_comes_from_the_cache_where_it_is_the_labels(kind: Cache, tmp_path: Path) -> None:
    class Plain(Deep):
        drawn = 0

        def labels(self, index: int) -> Labels:
            type(self).drawn += 1
            return super().labels(index)

    class Crowded(Plain):
        def truth(self, index: int) -> Truth:
            return replace(super().truth(index), crowd=np.full((3, 3), 1, np.uint8))

    plain = fraction_of(Plain("train", length=4), 1.0, 0)
    truth = cached(plain, kind, tmp_path).truth(2)
    assert Plain.drawn == 0
    expected = plain.truth(2)
    assert np.array_equal(truth.semantic, expected.semantic)
    assert np.array_equal(truth.region, expected.region)
    assert truth.maps.keys() == expected.maps.keys()
    assert np.array_equal(truth.maps["normals"], expected.maps["normals"])
    assert cached(Crowded("train", length=4), kind, tmp_path).truth(1).crowd is not None
    assert Crowded.drawn


def test_a_changed_file_is_another_key(tmp_path: Path) -> None:
    class Filed(Sizes):
        def sources(self) -> list[object]:
            return [tmp_path / "photo"]

    keys = []
    for seconds, content in ((10, "a"), (10, "a"), (20, "a"), (20, "ab")):
        (tmp_path / "photo").write_text(content)
        os.utime(tmp_path / "photo", (seconds, seconds))
        keys.append(cache.content_key(Filed("train")))
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_a_failed_fill_leaves_no_file(tmp_path: Path) -> None:
    class Torn(Sizes):
        def read(self, index: int) -> Pixels:
            if index == 19:
                raise DataError("expected a whole file, found half of one")
            return super().read(index)

    with pytest.raises(DataError, match="half of one"):
        cached(Torn("train", length=20), "disk", tmp_path)
    assert not list(tmp_path.iterdir())


def test_too_little_room_is_refused_before_anything_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_free_memory", lambda: 1000)
    with pytest.raises(DataError, match=r"fit into memory .*: set data.cache to disk or none"):
        cached(Sizes("train", length=3), "memory")


def test_every_rank_of_a_machine_and_every_split_needs_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = [SyntheticScenes("train", length=3), SyntheticScenes("val", length=1)]
    monkeypatch.setattr(room, "_free_memory", lambda: 128 * 128 * 6 * 4 * 2 / 0.9)
    check_memory(splits)
    check_memory(splits, ranks=2)
    with pytest.raises(DataError, match=r"3 ranks with 0.0 GiB of decoded images in train and val, 0.0 GiB"):
        check_memory(splits, ranks=3)
    with pytest.raises(DataError, match="fit into memory"):
        check_memory([*splits, splits[0]], ranks=2)


def test_the_pixels_are_on_the_disk_before_their_index_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    flush, move = os.fsync, os.replace

    def flushed(descriptor: int) -> None:
        events.append(f"flush {Path(os.readlink(f'/proc/self/fd/{descriptor}')).suffix}")
        flush(descriptor)

    def moved(draft: Path, path: Path) -> None:
        events.append(f"move {path.suffix}")
        move(draft, path)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", moved)
    cached(SyntheticScenes("train", length=2), "disk", tmp_path)
    assert events == ["flush .pixels", "move .pixels", "flush ", "flush .npy", "move .npy", "flush "]


def test_what_a_killed_process_had_written_makes_room(tmp_path: Path) -> None:
    cached(SyntheticScenes("train", length=2), "disk", tmp_path)
    [index] = tmp_path.glob("*.npy")
    index.unlink()
    other = tmp_path / ".Another-train-0.1.pixels"
    drafts = [index.with_name(f".{index.stem}.1{end}") for end in (".pixels", ".npy")]
    for path in (other, *drafts):
        path.write_bytes(b"half")
    cached(SyntheticScenes("train", length=2), "disk", tmp_path)
    assert other.exists()
    assert not any(path.exists() for path in drafts)


def test_a_cache_on_disk_needs_a_folder() -> None:
    with pytest.raises(ValueError, match=r"set data\.cache_dir"):
        cached(Sizes("train", length=3), "disk")


def test_free_memory_is_between_a_megabyte_and_the_machine() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 2**20 < room._free_memory() <= total
