import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.runs.decoder import Decoder
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.run_facts import run_facts

DECODER = Decoder(
    parameters={"region": {"threshold": 0.3}},
    untuned={"region": {"threshold": 0.5}},
    metric="val/covering",
    before={"covering": 0.4},
    after={"covering": 0.5},
    images=9,
    trials=30,
    seed=4,
    checkpoint="best",
    digest="0" * 64,
)
CONFIG = {
    "model": {
        "class_path": "fusionseg.FusionModule",
        "init_args": {"backbone": {"encoder": "resnet18", "weights": "imagenet"}},
    },
    "data": {
        "class_path": "fusionseg.SegmentationDataModule",
        "init_args": {
            "dataset": {
                "class_path": "fusionseg.data.CamVid",
                "init_args": {"root": "/home/me/secret/CamVid"},
            },
            "cache_dir": "D:\\me\\cache",
        },
    },
    "trainer": {"max_epochs": 30, "monitor": "val/miou"},
}
SUMMARY = {
    "status": "finished",
    "best": {"epoch": 4, "metrics": {"val/miou": 0.25, "val/pq": None, "val/loss": 3.5}},
    "seed": 7,
    "training_images": 367,
    "precision": "bf16-mixed",
    "commit": "abc123",
    "dirty": False,
}
Write = Callable[..., RunFolder]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "camvid")
    folder.checkpoints.mkdir(parents=True)
    folder.best.touch()
    folder.config.write_text(yaml.safe_dump(CONFIG))
    folder.summary.write_text(json.dumps(SUMMARY))
    return folder


def evaluated(run: RunFolder, split: str, **content: Any) -> Path:
    path = run.evaluated(split)
    path.parent.mkdir(exist_ok=True)
    given = {
        "metrics": {"miou": 0.5, "pq": None},
        "checkpoint": "best",
        "images": 101,
        "notes": [],
        **content,
    }
    path.write_text(json.dumps(given))
    return path


def test_the_facts_are_those_of_the_folder(run: RunFolder) -> None:
    facts = run_facts(run, None)
    assert (facts.name, facts.dataset, facts.training_images) == ("camvid", "CamVid", 367)
    assert (facts.epoch, facts.epochs, facts.monitor) == (5, 30, "val/miou")
    assert (facts.seed, facts.precision, facts.commit, facts.status) == (
        7,
        "bf16-mixed",
        "abc123",
        "finished",
    )
    assert facts.weights == "`imagenet` weights of the encoder resnet18"
    [val] = facts.figures
    assert (val.split, val.values, val.images) == ("val", {"miou": 0.25}, None)
    assert facts.notes == ("`test` was not measured",)


def test_evaluations_come_before_figures_of_the_training(run: RunFolder) -> None:
    evaluated(run, "val", notes=["pq is not measured"])
    evaluated(run, "test", metrics={"miou": 0.4}, images=233)
    facts = run_facts(run, None)
    assert [(one.split, one.values, one.images) for one in facts.figures] == [
        ("val", {"miou": 0.5}, 101),
        ("test", {"miou": 0.4}, 233),
    ]
    assert facts.notes == ("`val`: pq is not measured",)


@pytest.mark.parametrize(
    ("content", "tuned", "reason"),
    [
        ({"checkpoint": "last"}, False, "of another checkpoint"),
        ({}, True, "of another decoder"),
        ({"decoder": {"parameters": {"region": {"threshold": 0.9}}}}, True, "of another decoder"),
        ({"decoder": DECODER.record}, False, "of another decoder"),
        ({}, None, "older than the checkpoint"),
    ],
)
def test_an_evaluation_of_something_else_is_left_out_and_said(
    content: dict[str, Any], tuned: bool | None, reason: str, run: RunFolder
) -> None:
    path = evaluated(run, "test", **content)
    if tuned is None:
        os.utime(path, (1, 1))
    facts = run_facts(run, DECODER if tuned else None)
    assert [one.split for one in facts.figures] == ["val"]
    assert facts.notes == (
        f"`test`: the figures of test.json are left out, as they are {reason}",
        "`test` was not measured",
    )


@pytest.mark.parametrize(("limit", "part"), [(None, False), (1.0, False), (1, True), (0.25, True)])
def test_figures_of_a_part_of_the_images_say_so(limit: float | None, part: bool, run: RunFolder) -> None:
    run.config.write_text(yaml.safe_dump({**CONFIG, "trainer": {"limit_val_batches": limit}}))
    [val] = run_facts(run, None).figures
    assert (f"on a part of the images (`limit_val_batches` {limit})" in val.measured) == part


def test_tuned_figures_are_those_of_the_decoder(run: RunFolder) -> None:
    [val] = run_facts(run, DECODER).figures
    assert (val.values, val.images) == ({"covering": 0.5}, 9)
    evaluated(run, "val", decoder=DECODER.record)
    [val] = run_facts(run, DECODER).figures
    assert (val.values, val.images) == ({"miou": 0.5}, 101)


def test_folders_of_the_machine_are_nowhere(run: RunFolder) -> None:
    run.summary.write_text(json.dumps({**SUMMARY, "weights": "/home/me/secret/begin.ckpt"}))
    facts = run_facts(run, None)
    shown = yaml.safe_load(facts.configuration)["data"]["init_args"]
    assert shown["dataset"]["init_args"]["root"] == ".../CamVid"
    assert shown["cache_dir"] == ".../cache"
    assert facts.weights == "weights of `.../begin.ckpt`"
    assert not any(word in repr(facts) for word in ("secret", "/home", "D:"))


def test_what_is_not_recorded_is_not_made_up(run: RunFolder) -> None:
    run.summary.unlink()
    run.config.write_text("model: {class_path: own.Model}")
    facts = run_facts(run, None)
    assert facts == replace(
        facts,
        dataset="unknown",
        training_images=None,
        epoch=None,
        epochs=None,
        seed=None,
        precision=None,
        figures=(),
    )
    assert facts.commit == "an unknown commit"
    assert facts.notes == ("`val` was not measured", "`test` was not measured")


def test_training_files_are_counted_where_the_summary_does_not_say(run: RunFolder) -> None:
    run.summary.write_text(json.dumps({k: v for k, v in SUMMARY.items() if k != "training_images"}))
    run.training_files.write_text("0a one\n0b two\n")
    assert run_facts(run, None).training_images == 2


def test_changes_that_are_in_no_commit_are_said(run: RunFolder) -> None:
    run.summary.write_text(json.dumps({**SUMMARY, "dirty": True}))
    assert run_facts(run, None).commit == "abc123, with changes that are in no commit"
