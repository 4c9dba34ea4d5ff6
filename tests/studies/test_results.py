import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.config.errors import UsageError
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.results import collect


def evaluated(folder: Path, score: float | None, checkpoint: str = "last", seed: int = 0) -> Path:
    (folder / "evaluation").mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed_everything": seed}))
    (folder / "summary.json").write_text(
        json.dumps({"status": "finished", "best": {"metrics": {"val/a": 1}}})
    )
    content = {"metrics": {"score": score}, "per_class": {}, "checkpoint": checkpoint}
    (folder / "evaluation" / "val.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """A study of one variant and three seeds, all finished."""
    folder = StudyFolder(tmp_path)
    runs: list[dict[str, Any]] = []
    for seed in range(3):
        run = {"variant": "a", "seed": seed, "key": f"k{seed}", "folder": f"a/{seed}"}
        runs.append(run)
        folder.write_record(run["key"], {"status": "finished"})
        evaluated(tmp_path / run["folder"], 0.5 + seed / 10, seed=seed)
    variants = [{"name": "a", "settings": {}}]
    folder.declare({"name": "s", "epoch": "last", "metric": "val/score", "variants": variants, "runs": runs})
    return folder


def test_figures_are_those_of_the_epoch_that_counts(study: StudyFolder) -> None:
    assert collect([study.path]).figures("a", "val/score") == {0: 0.5, 1: 0.6, 2: 0.7}
    evaluated(study.path / "a/1", 0.9, checkpoint="best", seed=1)
    (study.path / "a/2/evaluation/val.json").write_text('{"metrics": {"sco')
    results = collect([study.path])
    assert results.figures("a", "val/score") == {0: 0.5}
    assert [dict(run.figures) for run in results.runs[1:]] == [{}, {}]
    assert [run.status for run in results.runs] == ["finished", "interrupted", "interrupted"]


def test_what_is_undefined_is_no_figure(study: StudyFolder) -> None:
    evaluated(study.path / "a/1", None, seed=1)
    assert collect([study.path]).figures("a", "val/score") == {0: 0.5, 2: 0.7}


@pytest.mark.parametrize("record", ['{"version": 1, "status": "running"}', "", "{"])
def test_an_evaluated_run_is_finished_whatever_its_record_says(record: str, study: StudyFolder) -> None:
    (study.records / "k1.json").write_text(record)
    assert [run.status for run in collect([study.path]).runs] == ["finished"] * 3
    (study.path / "a/1/evaluation/val.json").unlink()
    assert collect([study.path]).runs[1].status in ("running", "missing")


def test_another_run_in_the_folder_of_one_does_not_count(
    study: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    declared = study.declared()
    declared["variants"][0]["resolved"] = {"model.beta": 1.0}
    study.declare(declared)
    for seed, beta in enumerate((1.0, 2.0, 1.0)):
        text = yaml.safe_dump({"seed_everything": seed, "model": {"beta": beta}})
        (study.path / f"a/{seed}/config.yaml").write_text(text)
    results = collect([study.path])
    assert [run.status for run in results.runs] == ["finished", "missing", "finished"]
    assert results.figures("a", "val/score") == {0: 0.5, 2: 0.7}
    assert (
        "a/1 holds another run than the study's (model.beta: 2.0 there, 1.0 here)" in capsys.readouterr().err
    )


def test_the_epoch_of_run_folders_is_that_of_their_evaluations(tmp_path: Path) -> None:
    last = [evaluated(tmp_path / "a" / str(seed), 0.5, "last", seed) for seed in range(2)]
    results = collect(last)
    assert results.declared["epoch"] == "last"
    assert results.figures("a", "val/score") == {0: 0.5, 1: 0.5}
    best = evaluated(tmp_path / "b" / "0", 0.6, "best")
    with pytest.raises(UsageError, match=r"of one epoch .*`last` of \S+a/0 and `best` of \S+b/0: evaluate"):
        collect([*last, best])
    assert collect([best]).declared["epoch"] == "best"


def test_run_folders_without_evaluations_have_the_best_figures_of_training(tmp_path: Path) -> None:
    path = evaluated(tmp_path / "a" / "0", 0.5)
    (path / "evaluation" / "val.json").unlink()
    results = collect([path])
    assert (dict(results.runs[0].figures), results.declared["epoch"]) == ({"val/a": 1}, "best")


def test_a_run_folder_with_a_damaged_summary_is_not_finished(tmp_path: Path) -> None:
    path = evaluated(tmp_path / "a" / "0", 0.5, "best")
    (path / "summary.json").write_text('{"status": "fin')
    assert collect([path]).runs[0].status == "missing"


def test_run_folders_of_one_variant_and_seed_are_not_mixed(tmp_path: Path) -> None:
    paths = [evaluated(tmp_path / name / "joint" / "0", 0.5) for name in ("one", "two")]
    with pytest.raises(UsageError, match=r"found .*one/joint/0 and .*two/joint/0, both 'joint' with seed 0"):
        collect(paths)


def test_the_command_of_a_run_can_be_pasted(tmp_path: Path) -> None:
    path = evaluated(tmp_path / "a b" / "0", 0.5)
    other = evaluated(tmp_path / "c" / "0", 0.5)
    assert len(collect([path, path, other]).runs) == 2
    assert f"--config '{path}/config.yaml'" in collect([path, other]).runs[0].command


@pytest.mark.parametrize(
    ("parameters", "splits"), [({"region": {"threshold": 0.4}}, {"val"}), ({}, set()), (None, set())]
)
def test_temperatures_alone_do_not_make_figures_those_of_a_tuned_decoder(
    parameters: dict[str, Any] | None, splits: set[str], study: StudyFolder
) -> None:
    file = study.path / "a/1/evaluation/val.json"
    decoder = (
        {"parameters": parameters, "temperatures": {"semantic": 1.5}} if parameters is not None else None
    )
    file.write_text(json.dumps(json.loads(file.read_text()) | ({"decoder": decoder} if decoder else {})))
    assert collect([study.path]).runs[1].tuned == splits
