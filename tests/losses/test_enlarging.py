from itertools import chain

import pytest
import torch
from torch.nn.functional import interpolate

from fusionseg.losses.enlarging import strips


@pytest.mark.parametrize("share", [0.01, 1, 10, 1000])
@pytest.mark.parametrize("size", [(24, 20), (12, 5), (48, 33), (6, 5), (13, 11), (3, 5)])
def test_strips_are_rows_of_the_enlarged_output(
    size: tuple[int, int], share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fusionseg.losses.parts.SHARE", share)
    output = torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(0)).double()
    enlarged = interpolate(output, size, mode="bilinear")
    seen = torch.zeros(3, *size)
    for strip in strips(output, size):
        source = output[strip.images, :, strip.source]
        torch.testing.assert_close(strip.enlarged(source, size[1]), strip.of(enlarged))
        strip.of(seen).add_(1)
    assert (seen == 1).all()


def test_strips_are_as_small_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    output = torch.zeros(16, 7, 40, 40)
    monkeypatch.setattr("fusionseg.losses.parts.SHARE", 16)
    cut = strips(output, (80, 80))
    assert len(cut) == 16 * 4
    rows = [strip.rows for strip in cut if strip.images.start == 3]
    assert list(chain(*(range(r.start, r.stop) for r in rows))) == list(range(80))
    whole = strips(output, (20, 20))
    assert [strip.images for strip in whole] == [slice(i, i + 4) for i in range(0, 16, 4)]
