"""A run remembers what it was trained on, and is not scored on that."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fusionseg.commands import evaluate, fit
from fusionseg.data.base import DataError

Written = Callable[..., Path]


def scored(run: Path, *words: str) -> int:
    """The number of images that are scored."""
    evaluate.main(["--run", str(run), "--pictures", "0", *words])
    return int(json.loads((run / "evaluation/val.json").read_text())["images"])


@pytest.mark.slow
def test_what_was_trained_on_is_not_scored_under_any_arguments(run: Path, written: Written) -> None:
    assert scored(run) == 2
    own = run.parent / "own"
    (own / "val.txt").write_text("2\n1\n")
    (own / "train.txt").write_text("0\n")
    with pytest.raises(
        DataError, match=r"found 1 of 2 images, 1 \(as 1\) in .*training_files.txt: choose other data"
    ):
        scored(run)
    assert scored(run, "--trained", "true") == 2
    copy = Path(shutil.copytree(own, run.parent / "copy"))
    for part in ("images", "semantic", "regions"):
        (copy / part / "1.png").rename(copy / part / "new.png")
    (copy / "val.txt").write_text("new\n")
    with pytest.raises(DataError, match=r"new \(as 1\)"):
        scored(run, "--data.dataset.root", str(copy))
    other = written("other", seed=7)
    (other / "val.txt").write_text("0\n1\n")
    (other / "train.txt").write_text("2\n")
    assert scored(run, "--data.dataset.root", str(other)) == 2


@pytest.mark.slow
def test_a_run_remembers_what_its_weights_and_its_earlier_part_were_trained_on(
    run: Path, written: Written, one_epoch: list[str]
) -> None:
    second = run.parent / "second"
    fit.main([*one_epoch, str(written("other", seed=7)), "--weights", str(run), "--out", str(second)])
    lines = [(folder / "training_files.txt").read_text().splitlines() for folder in (run, second)]
    assert len(lines[0]) == 2
    assert len(lines[1]) == 4
    assert set(lines[0]) < set(lines[1])
    (run.parent / "own/train.txt").write_text("0\n3\n")
    (run.parent / "own/val.txt").write_text("2\n")
    fit.main(["--resume", str(run), "--trainer.max_epochs", "2"])
    grown = (run / "training_files.txt").read_text().splitlines()
    assert grown[:2] == lines[0]
    assert [line.split()[1] for line in grown] == ["0", "1", "3"]


@pytest.mark.slow
def test_validation_images_that_were_trained_on_are_reported(
    written: Written, one_epoch: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = written("own")
    for part in ("images", "semantic", "regions"):
        shutil.copy(root / part / "0.png", root / part / "2.png")
    fit.main([*one_epoch, str(root), "--out", str(tmp_path / "run")])
    assert "val scores 1 of 2 images, 2 (as 0), that were trained on\n" in capsys.readouterr().err


def test_data_without_files_leave_no_list(trained: Path) -> None:
    assert not (trained / "training_files.txt").exists()
