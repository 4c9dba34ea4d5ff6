"""Against OpenCV's JPEG and Pillow's box filter."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fusionseg.corruptions.compression import FACTORS, QUALITIES, downsampling, jpeg
from fusionseg.data.synthetic import SyntheticScenes


@pytest.fixture
def image() -> npt.NDArray[np.uint8]:
    return SyntheticScenes("val", 1, (90, 121)).read(0).image  # type: ignore[return-value]


@pytest.mark.parametrize("severity", range(1, 6))
def test_a_jpeg_is_as_another_coder_makes_it(image: npt.NDArray[np.uint8], severity: int) -> None:
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITIES[severity - 1]]
    coded = cv2.imencode(".jpg", image[..., ::-1], quality)[1]
    expected = cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]
    found = jpeg(image, severity, 0)
    # the coders enlarge chroma in their own ways
    assert np.abs(found.astype(int) - expected).mean() < 1.5
    error = np.abs(image.astype(int) - expected).mean()
    assert np.abs(image.astype(int) - found).mean() == pytest.approx(error, rel=0.1)


def test_further_channels_are_jpegs_of_their_own(image: npt.NDArray[np.uint8]) -> None:
    found = jpeg(np.dstack([image, image[..., :1], image[..., 2:]]), 2, 0)
    assert np.array_equal(found[..., :3], jpeg(image, 2, 0))
    for channel, source in ((3, 0), (4, 2)):
        coded = cv2.imencode(".jpg", image[..., source], [cv2.IMWRITE_JPEG_QUALITY, QUALITIES[1]])[1]
        assert np.abs(found[..., channel].astype(int) - cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)).max() <= 2


@pytest.mark.parametrize("severity", range(1, 6))
def test_downsampling_is_pillows_box_filter(image: npt.NDArray[np.uint8], severity: int) -> None:
    factor = FACTORS[severity - 1]
    small = (int(image.shape[1] * factor), int(image.shape[0] * factor))
    shrunk = Image.fromarray(image).resize(small, Image.Resampling.BOX)
    expected = np.asarray(shrunk.resize((image.shape[1], image.shape[0]), Image.Resampling.NEAREST))
    found = downsampling(image, severity, 0)
    near = np.abs(found.astype(int) - expected).max(2) <= 40
    # Pillow's box takes whole pixels where OpenCV weighs them by area
    assert near.mean() > 0.95
    assert len(np.unique(found.reshape(-1, 3), axis=0)) <= small[0] * small[1]
