from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.config.errors import UsageError
from fusionseg.studies.search.declaration import Objective
from fusionseg.studies.study_file import Study, read_study

SPACE = {"model.beta": {"low": 0.1, "high": 4, "log": True}}


def read(folder: Path, content: dict[str, Any] | None = None, **search: Any) -> Study:
    file = folder / "a_study.yaml"
    file.write_text(yaml.safe_dump({"search": {"space": SPACE, "trials": 5, **search}, **(content or {})}))
    return read_study(file)


def test_a_search_has_tpe_one_seed_and_the_metric_of_the_study(tmp_path: Path) -> None:
    study = read(tmp_path, {"metric": "val/pq"})
    assert study.search is not None
    assert (study.search.sampler.name, study.search.pruner, study.seeds) == ("TPESampler", None, (0,))
    assert study.search.objectives == (Objective("val/pq", "maximize"),)
    assert read(tmp_path).metric == "val/score"


def test_the_first_objective_decides_and_less_of_an_error_is_better(tmp_path: Path) -> None:
    study = read(tmp_path, objectives=["val/voi", {"metric": "val/miou", "direction": "minimize"}])
    assert study.search is not None
    assert study.search.objectives == (Objective("val/voi", "minimize"), Objective("val/miou", "minimize"))
    assert study.metric == "val/voi"


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"trial": 3}, r"^search.trial: no such key of a search; did you mean trials\?.*a_study.yaml"),
        ({"trials": 0}, "^search.trials: expected a number above 0"),
        ({"trials": 1.5}, "^search.trials: expected a number"),
        ({"space": {}}, "^search.space: expected settings with ranges or choices"),
        ({"space": {"beta": [1, 2]}}, "^search.space: expected a setting of model, data or trainer"),
        ({"space": {"trainer.max_epochs": [1, 2]}}, "^search.space.trainer.max_epochs: a study decides that"),
        ({"objectives": ["test/miou"]}, "^search.objectives: expected a figure that `evaluate` measures"),
        ({"objectives": ["val/loss"]}, "^search.objectives: expected a figure that `evaluate` measures"),
        ({"objectives": ["val/miou"] * 2}, "^search.objectives: expected one or two figures that differ"),
        ({"objectives": ["val/a", "val/b", "val/c"]}, "^search.objectives: expected one or two figures"),
        ({"objectives": [{"metric": "val/a", "direction": "up"}]}, "^search.objectives: expected"),
        ({"objectives": ["val/a", "val/b"], "pruner": "MedianPruner"}, "^search.pruner: .*one objective"),
        ({"sampler": "GridSampler"}, "^search.sampler: a grid is what `axes` are for"),
        ({"sampler": {"class": "TPESampler"}}, "^search.sampler: expected the name of a class of Optuna"),
        ({"storage": 3}, "^search.storage: expected a URL"),
    ],
)
def test_what_is_no_search_is_refused_by_its_key(search: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read(tmp_path, **search)


def test_a_search_takes_no_minutes_and_keeps_the_names_of_its_trials(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^budget: a search takes epochs or steps"):
        read(tmp_path, {"budget": {"minutes": 3}})
    with pytest.raises(UsageError, match=r"^variants: expected another name than 'trial_1'"):
        read(tmp_path, {"variants": {"trial_1": {}}})
