"""Small folders of labelled images for the commands, and a run on one."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fusionseg.commands import fit
from fusionseg.data import SyntheticScenes
from fusionseg.sample import VOID

ONE_EPOCH = [
    *("--data.dataset", "Folder", "--data.crop_size", "[64, 64]", "--data.batch_size", "2"),
    *("--data.workers", "0", "--model.backbone.encoder", "tu-test_efficientnet", "--trainer.max_epochs", "1"),
    *("--model.backbone.options", "{decoder_channels: [16, 16, 8, 8, 8]}", "--data.dataset.root"),
]
"""The arguments of a training on a folder, which follows them."""


def write(root: Path, names: Sequence[str] = SyntheticScenes.classes.names, seed: int = 0) -> Path:
    """Writes four synthetic scenes of 64 x 64 pixels as a `Folder`, two to train and two to validate on.

    Args:
        root: The folder.
        names: The names of its classes, an order of the scenes' names or others in their place.
        seed: Of the scenes.
    """
    own = SyntheticScenes.classes
    ids = np.full(VOID + 1, VOID, np.uint8)
    places = [names.index(one) if one in names else i for i, one in enumerate(own.names)]
    ids[: len(own)] = places
    for part in ("images", "semantic", "regions"):
        (root / part).mkdir(parents=True)
    scenes = SyntheticScenes("train", 4, (64, 64), seed=seed)
    for i in range(4):
        image, semantic, region, _ = scenes.read(i)
        Image.fromarray(image).save(root / f"images/{i}.png")
        Image.fromarray(ids[semantic]).save(root / f"semantic/{i}.png")
        Image.fromarray(region).save(root / f"regions/{i}.png")
    things = {names[places[i]] for i in own.things}
    classes = [{"name": one, "thing": one in things} for one in names]
    (root / "classes.yaml").write_text(yaml.safe_dump({"classes": classes}))
    (root / "train.txt").write_text("0\n1\n")
    (root / "val.txt").write_text("2\n3\n")
    return root


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder of a name into the test's own."""
    return lambda name, *args, **options: write(tmp_path / name, *args, **options)


@pytest.fixture
def one_epoch() -> list[str]:
    """The arguments of a training on a folder, which follows them."""
    return list(ONE_EPOCH)


@pytest.fixture(scope="session")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        fit.main([*ONE_EPOCH, str(write(folder / "own")), "--out", str(folder / "run")])
    return folder


@pytest.fixture
def run(_run: Path, tmp_path: Path) -> Path:
    """A run of an epoch on the folder `own` beside it, to do with both as one likes."""
    shutil.copytree(_run, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace(str(_run), str(tmp_path)))
    return tmp_path / "run"
