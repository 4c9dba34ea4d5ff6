from pathlib import Path

import numpy as np
import pytest
import tifffile

from fusionseg.files import tiled_labels
from fusionseg.files.images import read_palette_labels
from fusionseg.files.tiled_labels import TILE, write_tiff


@pytest.mark.parametrize("big", [False, True])
def test_ids_are_written_in_tiles_that_others_read(
    tmp_path: Path, big: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if big:
        monkeypatch.setattr(tiled_labels, "CLASSIC", 1000)
    ids = np.random.default_rng(0).integers(0, 9, (300, 2 * TILE), np.uint32) * 99_999
    padded = np.pad(ids, ((0, 2 * TILE - 300), (0, 0)))
    corners = [(top, left) for top in (0, TILE) for left in (0, TILE)]
    tiles = [padded[top : top + TILE, left : left + TILE] for top, left in corners]
    write_tiff(tmp_path / "region.tif", tiles, (300, 2 * TILE), np.uint32)
    small = [tile.astype(np.uint8) for tile in tiles]
    write_tiff(tmp_path / "semantic.tif", small, (300, 2 * TILE), np.uint8, [(1, 2, 3), (4, 5, 6)])
    with tifffile.TiffFile(tmp_path / "region.tif") as tiff:
        assert tiff.is_bigtiff == big
        assert tiff.pages.first.tile == (TILE, TILE)
        np.testing.assert_array_equal(tiff.asarray(), ids)
    if not big:
        labels, palette = read_palette_labels(tmp_path / "semantic.tif")
        np.testing.assert_array_equal(labels, ids.astype(np.uint8))
        assert palette[:3] == [(1, 2, 3), (4, 5, 6), (0, 0, 0)]
