from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typing_extensions import override

from fusionseg.config.errors import UserError
from fusionseg.data.base import Pixels
from fusionseg.data.samples import EvaluationSamples
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.files.archives import tree
from fusionseg.inference.inputs import PhotoWithDepth, as_input, named_photo


def test_colors_of_any_type_are_made_gray_for_a_model_of_one_channel() -> None:
    values = np.random.default_rng(0).random((6, 7, 3))
    expected = (values @ [0.299, 0.587, 0.114]).astype(np.float32)
    for factor, dtype in ((1, np.float64), (2**20, np.int64)):
        photo = named_photo((values * factor).astype(dtype), 0, 1, (0.0, float(factor))).photo
        np.testing.assert_allclose(photo[..., 0], expected, atol=1e-5)


def test_depth_in_an_archive_is_that_of_the_file(packed: Callable[..., Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "pair"
    folder.mkdir()
    Image.fromarray(rng.integers(0, 256, (6, 7, 3)).astype(np.uint8)).save(folder / "photo.png")
    Image.fromarray(rng.integers(0, 9000, (6, 7)).astype(np.uint16)).save(folder / "depth.png")
    archive = tree(packed(folder, tmp_path / "pair.zip"))
    pairs = [PhotoWithDepth(top / "photo.png", top / "depth.png") for top in (folder, archive)]  # type: ignore[arg-type]
    expected, found = (named_photo(pair, 0, 4, depth_limit=10.0) for pair in pairs)
    assert found.photo.shape == (6, 7, 4)
    assert found.name == expected.name == "photo"
    assert np.array_equal(found.photo, expected.photo)


@pytest.mark.parametrize("bands", [1, 5, 8])
def test_images_of_any_number_of_channels_are_seen_as_evaluation_sees_them(bands: int) -> None:
    class Bands(SyntheticScenes):
        """Scenes of so many channels."""

        @override
        def read(self, index: int) -> Pixels:
            pixels = super().read(index)
            return pixels._replace(image=np.dstack([pixels.image] * 3)[..., :bands])

    scenes = Bands("test", 1, (77, 131))
    seen = as_input(scenes.read(0).image, {"scale": 0.5})
    assert seen.shape == (bands, 38, 66)
    assert torch.equal(seen, EvaluationSamples(scenes, 0.5)[0]["image"])


def test_an_array_in_a_file_is_read_as_the_array_is(tmp_path: Path) -> None:
    gray = np.random.default_rng(0).random((4, 5))
    for number, values in enumerate(
        (gray, gray[..., None], np.dstack([gray] * 3), (gray * 255).astype(np.uint8))
    ):
        np.save(tmp_path / f"{number}.npy", values)
        expected = named_photo(values, number)
        found = named_photo(tmp_path / f"{number}.npy", 0)
        assert found.name == str(number)
        assert np.array_equal(found.photo, expected.photo)
    np.save(tmp_path / "a.npy", gray * 2)
    with pytest.raises(UserError, match=r"floats in \[0, 1\] in .*a\.npy, found .*: give value_range"):
        named_photo(tmp_path / "a.npy", 0)


def test_half_precision_of_torch_is_an_image_too() -> None:
    values = torch.rand(3, 4, 5)
    for dtype in (torch.bfloat16, torch.float16):
        photo = named_photo(values.to(dtype), 0).photo
        assert photo.dtype == np.float32
        np.testing.assert_array_equal(photo, values.to(dtype).float().permute(1, 2, 0).numpy())


def test_a_tiff_file_of_many_bands_is_an_image(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = np.random.default_rng(0).integers(0, 65536, (6, 7, 5)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig")
    assert np.array_equal(named_photo(tmp_path / "a.tif", 0, 5).photo, values)
    with pytest.raises(UserError, match=r"expected 6 channels in .*a\.tif, found 5 channels"):
        named_photo(tmp_path / "a.tif", 0, 6)
