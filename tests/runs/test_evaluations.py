import json
from pathlib import Path

from fusionseg.runs.evaluations import evaluation, evaluation_file, figures
from fusionseg.runs.folder import RunFolder


def written(run: Path, score: float, checkpoint: str, place: str = "best") -> Path:
    path = RunFolder(run).evaluated("val", place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"metrics": {"score": score}, "checkpoint": checkpoint}))
    return path


def test_each_epoch_has_a_place_of_its_own(tmp_path: Path) -> None:
    best = written(tmp_path, 0.5, "best")
    last = written(tmp_path, 0.4, "last", "last")
    assert (best, last) == (tmp_path / "evaluation/val.json", tmp_path / "evaluation/last/val.json")
    assert figures(tmp_path, "best") == {"score": 0.5}
    assert figures(tmp_path, "last") == {"score": 0.4}
    assert evaluation_file(tmp_path, "val", "last") == last


def test_the_file_of_an_older_run_counts_where_it_says_that_it_is_of_the_epoch(tmp_path: Path) -> None:
    old = written(tmp_path, 0.4, "last")
    assert figures(tmp_path, "last") == {"score": 0.4}
    assert evaluation_file(tmp_path, "val", "last") == old
    assert figures(tmp_path, "best") is None
    written(tmp_path, 0.3, "best", "last")  # a folder that somebody copied
    assert figures(tmp_path, "last") == {"score": 0.4}


def test_without_an_epoch_the_place_of_the_best_one_is_read(tmp_path: Path) -> None:
    written(tmp_path, 0.4, "last", "last")
    assert evaluation(tmp_path) is None
    written(tmp_path, 0.5, "last")
    assert evaluation(tmp_path) == {"metrics": {"score": 0.5}, "checkpoint": "last"}
