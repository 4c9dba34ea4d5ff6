from pathlib import Path

import pytest

from fusionseg.commands.fit import FitCLI
from fusionseg.heads import DepthHead, NormalsHead

HEADS = "--model.extra_heads."


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        [f"{HEADS}depth.head", "DepthHead", f"{HEADS}depth.weight", "0.25"],
        [f"{HEADS}depth.weight=0.25", f"{HEADS}depth.head=DepthHead"],
        ["--model.extra_heads", "{depth: {head: DepthHead, weight: 0.5}}", f"{HEADS}depth.weight", "0.25"],
        [f"{HEADS}depth", "ExtraHead", f"{HEADS}depth.head", "DepthHead", f"{HEADS}depth.weight", "0.25"],
    ],
)
def test_a_further_head_can_be_given_by_its_settings_alone(words: list[str], tmp_path: Path) -> None:
    cli = FitCLI([*words, f"{HEADS}normals.head", "NormalsHead", "--out", str(tmp_path / "run")])
    cli.run.release()
    assert isinstance(cli.model.heads["depth"], DepthHead)
    assert isinstance(cli.model.heads["normals"], NormalsHead)
    assert cli.model.objective.weights["depth"] == 0.25
