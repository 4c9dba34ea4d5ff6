"""Runs that work on data with classes that are not theirs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.commands import evaluate, fit
from fusionseg.config.errors import UsageError
from fusionseg.module import FusionModule
from fusionseg.runs.run_classes import check_start

Written = Callable[..., Path]
OWN = ("sky", "ground", "disk", "square", "triangle", "star")
TURNED = ("star", "sky", "ground", "disk", "square", "triangle")
DIFFERENCES = (
    r"id 0 is star and not sky; id 1 is sky and not ground; .*id 4 is square and not triangle; 1 more"
)


def figures(run: Path, *words: str) -> dict[str, Any]:
    evaluate.main(["--run", str(run), "--pictures", "0", *words])
    found: dict[str, Any] = json.loads((run / "evaluation/val.json").read_text())["metrics"]
    return found


@pytest.mark.slow
def test_classes_in_another_order_are_refused_or_found_by_their_names(
    run: Path, written: Written, tmp_path: Path
) -> None:
    turned = ["--data.dataset.root", str(written("turned", TURNED))]
    with pytest.raises(
        UsageError, match=f"{DIFFERENCES}; choose other data, or score by names .*--map-classes"
    ):
        figures(run, *turned)
    (tmp_path / "map.yaml").write_text("{}")
    assert figures(run, *turned, "--map-classes", str(tmp_path / "map.yaml")) == figures(run)


@pytest.mark.slow
def test_other_names_are_mapped_to_those_of_the_run(
    run: Path, written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed = [
        "--data.dataset.root",
        str(written("renamed", ("air", "ground", "disk", "square", "triangle", "star"))),
    ]
    file = tmp_path / "map.yaml"
    file.write_text("air: sky")
    assert figures(run, *renamed, f"--map-classes={file}") == figures(run)
    file.write_text("air: null\ndisk: ground")
    capsys.readouterr()
    found = figures(run, *renamed, f"--map-classes={file}")
    assert "disk is a thing in the data, the run's ground is not" in capsys.readouterr().err
    content = json.loads((run / "evaluation/val.json").read_text())
    assert list(content["per_class"]) == list(OWN)
    assert found["accuracy"] != figures(run)["accuracy"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", r"one of sky, ground, .*, or null for void; found none for air"),
        ("{air: clouds}", "found none for air"),
        ("{sky: sky}", r"names of the data's classes air, .* found sky"),
        ("[air]", "expected a configuration"),
        ("{air: [sky]}", r"map.yaml: expected names of the run's classes or null, found \['sky'\]"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(
    text: str, message: str, run: Path, written: Written, tmp_path: Path
) -> None:
    root = written("renamed", ("air", "ground", "disk", "square", "triangle", "star"))
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        figures(run, "--data.dataset.root", str(root), "--map-classes", str(tmp_path / "map.yaml"))


@pytest.mark.slow
def test_weights_of_the_same_classes_in_another_order_are_refused(
    run: Path, written: Written, one_epoch: list[str], tmp_path: Path
) -> None:
    own = [*one_epoch, str(written("turned", TURNED)), "--out", str(tmp_path / "second")]
    for weights in (run, run / "checkpoints/best.ckpt"):
        with pytest.raises(UsageError, match=f"{DIFFERENCES}; give the data the order .*best.ckpt"):
            fit.main([*own, "--weights", str(weights)])
    assert not (tmp_path / "second").exists()
    fit.main([*own, "--weights", str(run), "--model.semantic_head", "null"])


def test_weights_of_the_same_classes_of_another_kind_are_refused(
    run: Path, written: Written, one_epoch: list[str], tmp_path: Path
) -> None:
    root = written("kinds")
    declared = yaml.safe_load((root / "classes.yaml").read_text())
    declared["classes"][2]["thing"] = False
    (root / "classes.yaml").write_text(yaml.safe_dump(declared))
    with pytest.raises(
        UsageError, match="found others: disk is stuff; give the data the order and the things of"
    ):
        fit.main([*one_epoch, str(root), "--out", str(tmp_path / "second"), "--weights", str(run)])


@pytest.mark.slow
def test_weights_serve_other_classes(
    run: Path, written: Written, one_epoch: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "semantic starts with what was learned of them"
    for names, said in ((tuple("abcdef"), True), ((*OWN, "one more"), False), (OWN, False)):
        root = written("".join(names), names)
        capsys.readouterr()
        fit.main([*one_epoch, str(root), "--weights", str(run), "--out", str(tmp_path / f"from-{root.name}")])
        assert (line in capsys.readouterr().err) == said


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_classes(run: Path) -> None:
    declared = run.parent / "own/classes.yaml"
    declared.write_text(declared.read_text().replace("name: star", "name: moon"))
    with pytest.raises(UsageError, match="id 5 is moon and not star; a run goes on as it began"):
        fit.main(["--resume", str(run), "--trainer.max_epochs", "2"])


def declared(root: Path, **settings: Any) -> Path:
    """The folder, whose declaration says more."""
    content = yaml.safe_load((root / "classes.yaml").read_text())
    (root / "classes.yaml").write_text(yaml.safe_dump({**content, **settings}))
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "meaning"),
    [
        ({"region": "one nucleus"}, "one nucleus"),
        ({"background": 0}, "an area with an id of its own, or the background"),
        ({"void": 100}, ""),
    ],
)
def test_regions_of_another_meaning_are_scored_and_a_line_says_so(
    settings: dict[str, Any],
    meaning: str,
    run: Path,
    written: Written,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = declared(written("other"), **settings)
    (tmp_path / "map.yaml").write_text("{}")
    for words in ([], [f"--map-classes={tmp_path / 'map.yaml'}"]):
        capsys.readouterr()
        figures(run, "--data.dataset.root", str(root), *words)
        lines = [line for line in capsys.readouterr().err.splitlines() if "a region is" in line]
        assert lines == (
            [
                f"a region is `{meaning}` in the data, but `an area with an id of its own` in "
                f"{run / 'checkpoints/best.ckpt'}: regions are scored by the data's labels"
            ]
            if meaning
            else []
        )
        found = json.loads((run / "evaluation/val.json").read_text())["region"]
        assert found == (meaning or "an area with an id of its own")


@pytest.mark.slow
def test_a_run_does_not_go_on_with_regions_of_another_meaning(run: Path) -> None:
    declared(run.parent / "own", background=0)
    with pytest.raises(
        UsageError, match=r"id of its own, or the background` in the .*; a run goes on as it be"
    ):
        fit.main(["--resume", str(run), "--trainer.max_epochs", "2"])


@pytest.mark.slow
def test_a_class_that_is_void_in_the_data_is_named(run: Path, written: Written) -> None:
    root = written("fewer")
    content = yaml.safe_load((root / "classes.yaml").read_text())
    declared(root, classes=content["classes"][:-1], void=5)
    with pytest.raises(UsageError, match="found others: 5 classes and not 6; no class star; choose other"):
        figures(run, "--data.dataset.root", str(root))


def test_weights_learned_from_regions_of_another_meaning_serve_and_a_line_says_so(
    run: Path, small: Callable[..., FusionModule], capsys: pytest.CaptureFixture[str]
) -> None:
    check_start(small(), run)
    line = capsys.readouterr().err
    assert line.startswith(
        "a region is `one thing or one area of stuff` in the data, but `an area with an id"
    )
    assert line.endswith("best.ckpt: the region head starts with what fits of it\n")
    check_start(small(region_head=None), run)
    assert capsys.readouterr().err == ""
