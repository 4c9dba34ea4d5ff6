import pickle
import traceback

import numpy as np
import pytest
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader, Dataset

from fusionseg.cli.entry import message_of
from fusionseg.data.base import NO_MAPS, DataError, Pixels, SegmentationDataset, class_pixels
from fusionseg.sample import Classes

MESSAGE = "expected this, found that in a.png: do so\n    and so"


class Broken(Dataset[int]):
    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        try:
            raise OSError("the cause")
        except OSError as cause:
            raise self.error(MESSAGE) from cause


class TrainOnly(SegmentationDataset):
    splits = ("train",)
    classes = Classes(("a", "b"), ((0, 0, 0), (9, 9, 9)))

    def __len__(self) -> int:
        return 1

    def name(self, index: int) -> str:
        return "one"

    def read(self, index: int) -> Pixels:
        return Pixels(
            np.zeros((2, 3, 3), np.uint8), np.full((2, 3), 1, np.uint8), np.full((2, 3), 7, np.uint16)
        )


@pytest.mark.parametrize("error", [DataError, ValueError, FileNotFoundError])
def test_the_message_survives_the_wrapper_of_a_worker(error: type[Exception]) -> None:
    try:
        Broken(error)[0]
    except error:
        wrapper = ExceptionWrapper(where="in DataLoader worker process 0")  # type: ignore[no-untyped-call]
    with pytest.raises(error) as caught:
        wrapper.reraise()  # type: ignore[no-untyped-call]
    assert str(caught.value) != MESSAGE
    assert message_of(caught.value) == MESSAGE


def test_an_error_leaves_a_worker_with_its_type_and_message() -> None:
    with pytest.raises(DataError, match="Caught DataError") as caught:
        next(iter(DataLoader(Broken(DataError), num_workers=1)))
    assert message_of(caught.value) == MESSAGE
    # The frames would keep the worker alive until some later test collects them, and waits seconds for it.
    traceback.clear_frames(caught.tb)


def test_a_message_without_a_worker_is_itself() -> None:
    assert message_of(DataError(MESSAGE)) == MESSAGE


def test_an_unknown_split_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="TrainOnly has the splits train, found 'val'"):
        TrainOnly("val")


def test_labels_and_truth_follow_from_read() -> None:
    dataset = TrainOnly("train")
    assert (dataset.labels(0).region == 7).all()
    assert (dataset.truth(0).semantic == 1).all()
    assert dataset.truth(0).crowd is None


def test_a_dataset_that_does_not_tell_its_sources_has_no_key() -> None:
    with pytest.raises(DataError, match="override `sources`"):
        TrainOnly("train").sources()


def test_class_pixels_leave_void_out() -> None:
    assert class_pixels(np.array([[0, 2, 2], [255, 255, 1]], np.uint8), 3).tolist() == [1, 1, 2]


class WithMaps(TrainOnly):
    kinds = ("depth", "normals")

    def read(self, index: int) -> Pixels:
        depth, normals = np.full((2, 3), 4, np.float32), np.zeros((2, 3, 3), np.float32)
        normals[..., 2] = -1
        return super().read(index)._replace(maps={"depth": depth, "normals": normals})


def test_a_truth_has_the_further_maps_with_channels_first() -> None:
    dataset = WithMaps("train")
    assert dataset.labels(0).maps["normals"].shape == (2, 3, 3)
    maps = dataset.truth(0).maps
    assert list(maps) == ["depth", "normals"]
    assert (maps["depth"] == np.full((2, 3), 4)).all()
    assert maps["normals"].shape == (3, 2, 3)
    assert maps["normals"][:, 1, 2].tolist() == [0, 0, -1]


def test_without_further_kinds_the_maps_are_empty_cannot_be_written_to_and_can_be_pickled() -> None:
    pixels = TrainOnly("train").read(0)
    assert TrainOnly("train").kinds == ()
    assert pixels.maps is NO_MAPS
    assert dict(pickle.loads(pickle.dumps(pixels)).maps) == {} == TrainOnly("train").truth(0).maps
    with pytest.raises(KeyError):
        pixels.maps["depth"]
    with pytest.raises(TypeError, match="item assignment"):
        pixels.maps["depth"] = np.zeros((2, 3), np.float32)  # type: ignore[index]
