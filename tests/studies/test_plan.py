import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.config.errors import UsageError
from fusionseg.studies.axes import Variant
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.plan import Plan, arguments, common_precision, planned
from fusionseg.studies.study_file import Study
from fusionseg.studies.variant_checks import check_variants

STUDY = Study("s", (), (Variant("a", {}), Variant("b", {"model.beta": 2.0})), (0, 1))


def outcome(**changes: Any) -> dict[str, Any]:
    config = {"trainer": {"devices": 1}, "model": {"init_args": {"alpha": 1.0, "beta": 1.0, **changes}}}
    return {
        "config": yaml.safe_dump(config),
        "precision": "32-true",
        "parameters": 10,
        "figures": ["val/score"],
        "steps": 5,
    }


FOUND = {"a": outcome(), "b": outcome(beta=2.0)}


def made(folder: Path, study: Study = STUDY, found: dict[str, Any] = FOUND) -> Plan:
    check_variants(study, found)
    place = StudyFolder(folder)
    plan = planned(study, found, {}, place)
    place.declare(plan.declared())
    return plan


def test_runs_go_seed_by_seed_into_folders_of_variants(tmp_path: Path) -> None:
    runs = made(tmp_path).runs
    assert [run.folder for run in runs] == ["a/0", "b/0", "a/1", "b/1"]
    assert len({run.key for run in runs}) == 4
    assert "--seed_everything=1" in runs[2].arguments
    assert "--model.beta=2.0" in runs[1].arguments


def test_devices_and_workers_are_no_part_of_a_run(tmp_path: Path) -> None:
    other = {name: dict(value) for name, value in FOUND.items()}
    for value in other.values():
        value["config"] = value["config"].replace("devices: 1", "devices: 8")
    keys = [run.key for run in made(tmp_path).runs]
    assert keys == [run.key for run in made(tmp_path, found=other).runs]


def test_seeds_and_variants_can_be_added(tmp_path: Path) -> None:
    before = made(tmp_path).runs
    grown = replace(STUDY, seeds=(0, 1, 2), variants=(*STUDY.variants, Variant("c", {"model.beta": 3.0})))
    after = made(tmp_path, grown, {**FOUND, "c": outcome(beta=3.0)}).runs
    assert {run.key for run in before} < {run.key for run in after}
    assert len(after) == 9


def test_another_study_in_the_folder_shares_the_runs_that_are_the_same(tmp_path: Path) -> None:
    made(tmp_path)
    other = Study("t", (), (Variant("joint", {}), Variant("b", {"model.beta": 5.0})), (0,))
    runs = {
        run.variant: run.folder
        for run in made(tmp_path, other, {"joint": outcome(), "b": outcome(beta=5.0)}).runs
    }
    assert runs["joint"] == "a/0"
    assert runs["b"].startswith("b/0-")


def test_another_run_in_the_place_of_one_is_left_alone_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in made(tmp_path).runs[:2]:
        (tmp_path / run.folder).mkdir(parents=True)
        (tmp_path / run.folder / "config.yaml").write_text(FOUND[run.variant]["config"])
    StudyFolder(tmp_path).declaration("s").unlink()  # as one does with a damaged one
    after = made(tmp_path, found={"a": outcome(), "b": outcome(beta=9.0)}).runs
    assert [run.folder for run in after if run.variant == "a"] == ["a/0", "a/1"]
    assert [run.folder for run in after if run.variant == "b"] == [f"b/0-{after[1].key[:6]}", "b/1"]
    assert re.search(
        r"^\S+/b/0 holds another run \(model.beta: 2.0 there, 9.0 here\): it is left alone$",
        capsys.readouterr().err,
        re.MULTILINE,
    )
    again = made(tmp_path, found={"a": outcome(), "b": outcome(beta=9.0)}).runs
    assert [run.folder for run in again] == [run.folder for run in after]
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "found", "message"),
    [
        (
            {},
            {"a": outcome(), "b": outcome(beta=3.0)},
            r"'b' is not what began .*: model.beta: 2.0 before, 3.0 now",
        ),
        ({"variants": STUDY.variants[:1]}, {"a": outcome()}, r"variant 'b' of the study in .* is gone"),
        ({"seeds": (0,)}, FOUND, r"seeds: seed 1 .* is gone"),
        ({"epoch": "best"}, FOUND, r"epoch: 'last' when the study .* began, 'best' now"),
        ({"budget": {"steps": 7}}, FOUND, r"budget: {} when"),
    ],
)
def test_a_study_that_means_something_else_is_refused(
    change: dict, found: dict, message: str, tmp_path: Path
) -> None:
    made(tmp_path)
    with pytest.raises(UsageError, match=message):
        made(tmp_path, replace(STUDY, **change), found)


def test_variants_of_several_precisions_are_refused() -> None:
    with pytest.raises(UsageError, match=r"precision: .*16-mixed and 32-true"):
        common_precision({"a": outcome(), "b": {**outcome(), "precision": "16-mixed"}})


def test_values_travel_as_yaml() -> None:
    variant = Variant("x", {"model.region_head": None, "data.crop_size": [64, 96], "model.beta": 0.5})
    words = arguments(replace(STUDY, budget={"epochs": 2}, precision="32-true"), variant)
    assert words == [
        "--trainer.precision=32-true",
        "--trainer.max_epochs=2",
        "--model.region_head=null",
        "--data.crop_size=[64, 96]",
        "--model.beta=0.5",
    ]


@pytest.mark.parametrize("budget", [{"steps": 1_234_567}, {"epochs": 1_234_567}])
def test_large_budgets_keep_their_digits(budget: dict[str, float]) -> None:
    words = arguments(replace(STUDY, budget=budget), STUDY.variants[0])
    assert any(word.endswith("=1234567") for word in words)
