"""MTAN on NYUv2: what its authors' code does, restated (github.com/lorenmt/mtan, im2im_pred)."""

import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

NAME = "mtan_nyuv2_13"
SIZE = (288, 384)
SMALL = ["--model.backbone.encoder", "tu-test_efficientnet", "--model.backbone.decoder", "Unet"]
TRAINING = 795

Protocols = Callable[..., Any]


def scenes(length: int) -> list[str]:
    return [
        *("--data.dataset", "SyntheticScenes", "--data.dataset.length", str(length)),
        *("--data.dataset.depth", "true", "--data.dataset.normals", "true"),
    ]


@pytest.mark.slow
def test_the_rate_is_halved_after_100_of_200_epochs_of_397_batches(
    protocol: Protocols, rates: Callable[[Any], list[float]]
) -> None:
    """`StepLR(optimizer, step_size=100, gamma=0.5)`, stepped after each epoch (model_segnet_mtan.py, utils.py)."""
    given = protocol(NAME, *SMALL, *scenes(TRAINING))
    assert given.batches() == TRAINING // 2 == 397
    found = rates(given)
    assert len(found) == 200
    for iteration, rate in ((0, 1e-4), (39_699, 1e-4), (39_700, 5e-5), (79_399, 5e-5)):
        assert found[iteration // 397] == pytest.approx(rate, rel=1e-9)


@pytest.mark.slow
def test_images_are_seen_whole(protocol: Protocols) -> None:
    """`NYUv2(root=dataset_path, train=True)`, without augmentation."""
    crops = protocol(NAME, *SMALL, *scenes(4)).crops(SIZE, 20)
    for crop in crops:
        assert crop.size == SIZE
        assert crop.rows == pytest.approx((0, 1), abs=1e-5)
        assert crop.columns == pytest.approx((0, 1), abs=1e-5)
        assert (crop.zoom, crop.turned) == (1, False)


def augmentation() -> list[str]:
    """The arguments of the augmented variant that the file's comment names."""
    text = (Path(__file__).parents[2] / f"experiments/protocols/{NAME}.yaml").read_text()
    lines = [
        line.strip("# ") for line in text.splitlines() if line.strip("# ").startswith("--data.augmentation")
    ]
    return shlex.split(" ".join(lines))


@pytest.mark.slow
def test_augmented_views_are_those_of_random_scale_crop(protocol: Protocols) -> None:
    """`RandomScaleCrop` and flips (create_dataset.py).

    A scale of 1, 1.2 or 1.5; a window of 1 / scale of height and width anywhere; depth over scale; half of all are
    mirrored, with the x of normals negated.
    """
    size = (96, 128)  # as wide for its height
    given = protocol(NAME, *SMALL, *scenes(4), *augmentation(), "--data.crop_size", str([*size]))
    crops = given.crops(size, 600)
    zooms = Counter(round(crop.zoom, 3) for crop in crops)
    assert zooms.keys() == {1.0, 1.2, 1.5}
    assert all(abs(count - 200) < 4 * (600 * 2 / 9) ** 0.5 for count in zooms.values())
    mirrored = [crop.columns[0] > crop.columns[1] for crop in crops]
    assert abs(sum(mirrored) - 300) < 4 * 150**0.5
    assert mirrored == [crop.turned for crop in crops]
    pixel = 1.01 / np.array(size)
    for crop in crops:
        for (first, last), step in zip((crop.rows, sorted(crop.columns)), pixel, strict=True):
            assert last - first == pytest.approx(1 / crop.zoom, abs=1e-4)
            assert first > -step
            assert last < 1 + step
    for zoom, slack in ((1.2, 16), (1.5, 32)):
        tops = np.array([round(96 * crop.rows[0]) for crop in crops if abs(crop.zoom - zoom) < 0.01])
        assert tops.min() <= 1
        assert tops.max() >= slack - 1
        assert abs(tops.mean() - slack / 2) < 4 * (slack + 1) / (12 * len(tops)) ** 0.5


def by_model_fit(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> Tensor:
    """`model_fit` of utils.py for the three tasks, and their sum with `--weight equal`, pixel by pixel."""
    logits = outputs["semantic"].double()
    log_p = logits - logits.exp().sum(1, keepdim=True).log()
    depth = torch.log1p(outputs["depth"].double().exp())[:, 0]
    normals = outputs["normals"].double()
    normals = normals / normals.norm(p=2, dim=1, keepdim=True)
    cross_entropy, l1, dot = [], [], []
    for image in range(len(logits)):
        for row, column in np.ndindex(*logits.shape[2:]):
            at = (image, slice(None), row, column)
            if (label := int(batch["semantic"][image, row, column])) != 255:
                cross_entropy.append(-log_p[image, label, row, column])
            if true := float(batch["depth"][image, row, column]):
                l1.append(abs(depth[image, row, column] - true))
            if batch["normals"][at].any():
                dot.append(normals[at] @ batch["normals"][at].double())
    return torch.stack(cross_entropy).mean() + torch.stack(l1).mean() + 1 - torch.stack(dot).mean()


@pytest.mark.slow
def test_the_loss_of_a_batch_is_that_of_its_authors(protocol: Protocols, libmtl: Path) -> None:
    root = ["--data.dataset.root", str(libmtl / "nyuv2"), "--data.dataset.expected_size", "null"]
    with torch.no_grad():
        loss, outputs, batch = protocol(NAME, *SMALL, *root, "--data.crop_size", "[32, 32]").step()
        assert outputs["semantic"].shape == (2, 13, 32, 32)
        assert float(loss) == pytest.approx(float(by_model_fit(outputs, batch)), rel=1e-5)


@pytest.mark.slow
def test_the_shared_encoder_is_that_of_segnet(protocol: Protocols) -> None:
    """Two, two, three, three and three convolutions of 64 to 512 channels (`encoder_block`, `conv_block_enc`)."""
    network = protocol(NAME, *scenes(4), "--model.extra_heads", "null", "--model.metrics", "[]").model.network
    widths = [m.out_channels for m in network.encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert widths == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
