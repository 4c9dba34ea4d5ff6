"""Small folders of labelled images for the commands."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fusionseg.data import SyntheticScenes
from fusionseg.sample import VOID


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes four synthetic scenes of 64 x 64 pixels as a `Folder`, two to train and two to validate on."""

    def folder(name: str, names: Sequence[str] = SyntheticScenes.classes.names, seed: int = 0) -> Path:
        """A folder whose classes have the given names, an order of the scenes' names or others in their place."""
        root = tmp_path / name
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

    return folder
