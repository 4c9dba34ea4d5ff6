from pathlib import Path
from typing import Any

import pytest

from fusionseg.cli.configured_heads import configured_heads
from fusionseg.commands.inspect import InspectCLI
from fusionseg.config.errors import UserError
from fusionseg.config.recipe import made
from fusionseg.heads import CenterOffsetHead, DepthHead, SemanticHead


def heads(*words: str) -> dict[str, Any]:
    return dict(configured_heads(InspectCLI(list(words)).config.model, 6))


def test_the_heads_of_the_default_model_are_those_of_classes_and_regions() -> None:
    assert {task: made(recipe).__name__ for task, recipe in heads().items()} == {
        "semantic": "SemanticHead",
        "region": "BoundaryHead",
    }


def test_heads_have_their_settings_and_the_number_of_classes(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text(
        "model: {init_args: {region_head: {class_path: CenterOffsetHead, init_args: {sigma: 3}}}}\n"
    )
    found = heads(
        *("--config", str(config), "--model.region_head.threshold", "0.2", "--model.gamma", "0.1"),
        *(
            "--model.extra_heads",
            "{depth: {head: {class_path: DepthHead, init_args: {scale: 9}}, weight: 0.5}}",
        ),
    )
    assert list(found) == ["semantic", "region", "scene", "depth"]
    semantic, region, scene, depth = (recipe(1) for recipe in found.values())
    assert isinstance(semantic, SemanticHead)
    assert isinstance(region, CenterOffsetHead)
    assert isinstance(depth, DepthHead)
    assert (semantic.num_classes, scene.num_classes) == (6, 6)
    assert (region.sigma, region.threshold, depth.scale) == (3, 0.2, 9)


@pytest.mark.slow
def test_a_head_that_is_null_is_none() -> None:
    assert list(heads("--model.semantic_head", "null")) == ["region"]
    with pytest.raises(UserError, match="at least one head"):
        heads("--model.semantic_head", "null", "--model.region_head", "null")


def test_a_model_of_another_kind_has_none() -> None:
    assert heads("--model", "fusionseg.untrained.UntrainedModule") == {}
