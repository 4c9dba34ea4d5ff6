"""Answers of models without classes and regions; those with both are in `test_predictor`."""

import csv
from pathlib import Path

import numpy as np
import pytest

from fusionseg.config.errors import UserError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads import DepthHead
from fusionseg.inference.answer import Answer
from fusionseg.sample import Array
from fusionseg.visualize import Drawable

IMAGE = np.zeros((4, 5, 3), np.uint8)
CLASSES = SyntheticScenes.classes


@pytest.mark.parametrize(
    ("maps", "further", "written"),
    [
        ({"scene": np.linspace(0, 1, len(CLASSES), dtype=np.float32)}, {}, {"scenes/a.csv"}),
        ({"depth": np.ones((4, 5), np.float32)}, {"depth": DepthHead(1)}, {"depth/a.npy", "depth/a.png"}),
        ({}, {}, set()),
    ],
)
def test_what_an_answer_has_is_saved(
    maps: dict[str, Array], further: dict[str, Drawable], written: set[str], tmp_path: Path
) -> None:
    answer = Answer("a", IMAGE, CLASSES, maps, further)
    answer.save(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} == written
    with pytest.raises(UserError, match="expected a map of segments"):
        answer.rows()
    if "scene" in maps:
        with (tmp_path / "scenes" / "a.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert tuple(row["class"] for row in rows) == CLASSES.names
        assert [float(row["probability"]) for row in rows] == pytest.approx(maps["scene"], abs=1e-6)
