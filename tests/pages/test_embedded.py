import base64
import io

import numpy as np
import pytest
from PIL import Image

from fusionseg.pages.embedded import data_address


@pytest.mark.parametrize(("width", "shown"), [(None, 320), (640, 640), (2000, 800)])
def test_wide_pictures_are_made_smaller_and_others_are_left(width: int | None, shown: int) -> None:
    picture = np.zeros((400, 800, 3), np.uint8)
    picture[:, 400:] = 255
    address = data_address(picture) if width is None else data_address(picture, width)
    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert image.size == (shown, shown // 2)
