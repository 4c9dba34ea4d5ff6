"""Images without labels look like those beside them, and have nothing labelled."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.config.errors import UserError
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import DataError
from fusionseg.data.batches import collated
from fusionseg.data.rgbd import RGBD
from fusionseg.data.samples import EvaluationSamples, TrainSamples
from fusionseg.data.subset import Subset
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.data.unlabelled_images import Photos, WithoutLabels
from fusionseg.data.unlabelled_mixture import UnlabelledMixture
from fusionseg.sample import VOID

SCENES = SyntheticScenes("train", length=4, size=(32, 48), depth=True, normals=True)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "below").mkdir(parents=True)
    for name in ("a.png", "below/b.jpg"):
        Image.fromarray(SCENES.read(0).image).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_labels_of_a_dataset_are_left_out() -> None:
    hidden = WithoutLabels(SCENES, [2, 0])
    pixels, own = hidden.read(0), SCENES.read(2)
    assert hidden.name(0) == SCENES.name(2)
    np.testing.assert_array_equal(pixels.image, own.image)
    for labels in (pixels, hidden.labels(0), hidden.truth(0)):
        assert (labels.semantic == VOID).all()
        assert not labels.region.any()
        assert not any(plane.any() for plane in labels.maps.values())
    assert not hidden.has_labels(1)
    assert hidden.annotation(0, np.random.default_rng(0)) is None
    assert hidden.sources() != WithoutLabels(SCENES, [0, 2]).sources()


def test_changes_mix_in_images_with_labels_alone() -> None:
    mixture = UnlabelledMixture(Subset(SCENES, [1]), [WithoutLabels(SCENES, [0, 2, 3])], 0.5)
    samples = TrainSamples(mixture, Augmentation.none(), (32, 32))
    drawn = [samples.another(np.random.default_rng(seed)) for seed in range(8)]
    assert all(pixels.region.any() for pixels in drawn)


def test_an_image_without_labels_is_cropped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    crops: list[object] = []
    crop = Augmentation._crop
    monkeypatch.setattr(Augmentation, "_crop", lambda *given: crops.append(None) or crop(*given))
    samples = TrainSamples(WithoutLabels(SCENES, [0]), Augmentation(cat_max_ratio=0.75), (32, 32))
    assert not samples[0, 0]["region"].any()
    assert len(crops) == 1


def test_photos_make_batches_with_labelled_images(photos: Path) -> None:
    found = Photos(photos, SCENES)
    assert found.names == ["unlabelled-a", "unlabelled-below/b"]
    np.testing.assert_array_equal(found.read(0).image, SCENES.read(0).image)
    batch = collated([EvaluationSamples(dataset)[0] for dataset in (found, SCENES)])
    assert (batch["semantic"][0] == VOID).all()
    assert not batch["depth"][0].any()
    assert batch["normals"].shape == (2, 3, 32, 48)
    assert found.labels(1).semantic.shape == (32, 48)
    assert found.labels(1).maps.keys() == {"depth", "normals"}


def test_what_is_no_folder_of_photos_is_said_in_a_line(photos: Path) -> None:
    with pytest.raises(
        DataError, match=r"expected a folder of photos, found none at .*nowhere: set data.unla"
    ):
        Photos(photos / "nowhere", SCENES)
    (photos / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected photos in .*empty, found none"):
        Photos(photos / "empty", SCENES)
    (photos / "empty" / "notes.txt").write_text("none")
    with pytest.raises(UserError, match=r"no files of a known format in .*empty, found only .txt"):
        Photos(photos / "empty", SCENES)
    deep = RGBD("train", partial(SyntheticScenes, length=2, depth=True), 10.0)
    with pytest.raises(DataError, match=r"images without a channel of depth beside the photos"):
        Photos(photos, deep)
