from pathlib import Path

import pytest
import yaml

from fusionseg.config.errors import UsageError
from fusionseg.studies.study_file import read_study

STUDIES = Path(__file__).parents[2] / "experiments" / "studies"


def written(folder: Path, **content: object) -> Path:
    path = folder / "a_study.yaml"
    path.write_text(yaml.safe_dump({"variants": {"a": {}, "b": {"model.beta": 2}}, **content}))
    return path


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_studies_of_the_package_can_be_read(path: Path) -> None:
    study = read_study(path)
    assert study.search or len(study.variants) * len(study.seeds) > 1
    assert study.description


def test_defaults(tmp_path: Path) -> None:
    study = read_study(written(tmp_path))
    assert study.seeds == (0, 1, 2)
    assert (study.metric, study.epoch, study.retries) == ("val/score", "last", 1)


def test_settings_of_the_command_line_go_to_all_runs(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, settings={"model.alpha": 3}), {"data.scale": 0.5})
    assert study.settings == {"model.alpha": 3, "data.scale": 0.5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"variant": {}}, r"^variant: no such key of a study; did you mean variants\?.*a_study.yaml"),
        ({"seeds": []}, "^seeds: expected a number of seeds"),
        ({"seeds": [1, 1]}, "^seeds: "),
        ({"seeds": 0}, "^seeds: "),
        ({"metric": "test/miou"}, "^metric: .*the test split decides"),
        ({"epoch": "first"}, "^epoch: expected last or best"),
        ({"reference": "c"}, "^reference: expected one of the variants"),
        ({"baselines": {"semantic": "c"}}, "^baselines.semantic: expected one of the variants"),
        ({"baselines": {"depth": "a"}}, "^baselines.depth: expected the task semantic or region, of whose"),
        ({"budget": {"epochs": 1, "steps": 2}}, "^budget: expected one of"),
        ({"budget": {"hours": 1}}, "^budget: expected one of"),
        ({"budget": {"steps": 1.5}}, "^budget.steps: expected a whole number above 0, found 1.5"),
        ({"budget": {"epochs": True}}, "^budget.epochs: expected a whole number above 0, found True"),
        ({"budget": {"minutes": 0}}, "^budget.minutes: expected a number above 0, found 0"),
        ({"seeds": [2**32]}, r"^seeds: expected .* from 0 to 4294967295, found \[4294967296\]"),
        ({"formulas": {"model.alpha": "1/2"}}, "^formulas: expected `axes` beside it"),
        ({"variants": {"a": {"seed_everything": 1}}}, "^variants.a.seed_everything: a study decides that"),
        ({"variants": {"a": {"trainer": {"max_epochs": 3}}}}, "^variants.a.trainer.max_epochs: a study"),
        ({"settings": {"trainer": {"precision": "bf16-mixed"}}}, "^settings.trainer.precision: a study"),
        ({"metric": "val/loss"}, "^metric: expected a figure that `evaluate` measures, found 'val/loss'"),
        ({"seeds": [True]}, "^seeds: "),
        ({"variants": {"a": {"beta": 1}}}, "^variants.a: expected a setting of model, data or trainer"),
        ({"variants": {"a/b": {}}}, "^variants: expected a name that can be a folder"),
        ({"variants": {}}, "^variants: expected `axes`, `variants` or `search`"),
        ({"base": "nothing.yaml"}, "nothing.yaml: expected a configuration file"),
        ({"retries": -1}, "^retries: "),
        ({"settings": [1]}, "^settings: expected"),
    ],
)
def test_what_is_no_study_is_refused_by_its_key(content: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read_study(written(tmp_path, **content))


def test_a_variant_of_a_name_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("variants:\n  a: {}\n  b: {model.beta: 2}\n  a: {model.beta: 3}\n")
    with pytest.raises(UsageError, match=r"line 4, column 3: .*expected every key once, found 'a' twice"):
        read_study(path)


@pytest.mark.parametrize("content", ["variants: {{x}}", "variants: {? [a] : {}}"])
def test_a_key_that_is_no_text_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"s\.yaml, line 1, column \d+: expected YAML: "):
        read_study(path)
