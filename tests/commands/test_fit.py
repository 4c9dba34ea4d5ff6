import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Callback
from PIL import Image

from fusionseg.commands.fit import main


def summary(run: Path) -> Any:
    return json.loads((run / "summary.json").read_text())


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


class Interrupts(Callback):
    """Ctrl-C at a known step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: object, *_: object) -> None:
        if getattr(trainer, "global_step", 0) == self.step:
            signal.raise_signal(signal.SIGINT)


class Slow(Callback):
    """Makes each step take at least so long, and each validation too."""

    def on_train_batch_start(self, *_: object) -> None:
        time.sleep(0.1)

    def on_validation_batch_start(self, *_: object) -> None:
        time.sleep(0.1)


def test_a_run_folder_holds_what_the_run_was_and_gave(trained: Path) -> None:
    files = ("config.yaml", "metrics.csv", "curves.png", "checkpoints", "pictures", "summary.json")
    assert {p.name for p in trained.iterdir()} == set(files)
    assert {p.name for p in (trained / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    with Image.open(trained / "curves.png") as curves:  # of a training with all that belongs to it
        assert min(curves.size) > 200
    told = summary(trained)
    assert told["status"] == "finished"
    assert set(told) == {
        *(
            "status",
            "metrics",
            "best",
            "seed",
            "seconds",
            "images_per_second",
            "seconds_per_step",
            "peak_memory",
            "training_images",
            "parameters",
            "precision",
            "devices",
        ),
        *("versions", "commit", "dirty"),
    }
    last = [row for row in rows(trained) if row["val/score"]][-1]
    assert told["metrics"]["val/score"] == pytest.approx(float(last["val/score"]), abs=1e-7)
    assert told["seed"] == 0
    assert 2**27 < told["peak_memory"] < 2**36
    assert told["training_images"] == 8
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["trainer"]["precision"] == told["precision"] in ("bf16-mixed", "32-true")


def test_best_is_the_epoch_of_the_highest_score(trained: Path) -> None:
    scores = {int(row["epoch"]): float(row["val/score"]) for row in rows(trained) if row["val/score"]}
    best = summary(trained)["best"]
    assert best["epoch"] == max(scores, key=lambda epoch: scores[epoch])
    checkpoint = torch.load(trained / best["checkpoint"], weights_only=True)
    assert checkpoint["epoch"] == best["epoch"]


@pytest.mark.slow
def test_nothing_is_said_but_what_matters_and_the_folder_comes_last(
    tiny: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    main([*tiny, "--out", str(run)])
    out, err = capfd.readouterr()
    kinds = [
        r"precision (bf16-mixed|32-true): ",
        r"epoch 1/2  loss .* steps/s  val/score .* left 0:",
        r"epoch 2/2 ",
    ]
    lines = err.splitlines()
    assert len(lines) == len(kinds)
    assert all(re.match(kind, line) for kind, line in zip(kinds, lines, strict=True))
    assert out.splitlines()[-2:] == [f"pictures: {run}/pictures/epoch_001.png", str(run)]
    assert "val/score" in out


@pytest.mark.slow
def test_its_configuration_reproduces_a_run_to_the_last_bit(trained: Path, tmp_path: Path) -> None:
    main(["--config", str(trained / "config.yaml"), "--out", str(tmp_path / "again")])
    assert (tmp_path / "again" / "metrics.csv").read_bytes() == (trained / "metrics.csv").read_bytes()
    assert (tmp_path / "again" / "config.yaml").read_text() == (trained / "config.yaml").read_text()


@pytest.mark.slow
def test_null_survives_in_the_configuration(tiny: list[str], tmp_path: Path) -> None:
    main([*tiny, "--model.region_head", "null", "--model.schedule", "null", "--trainer.max_steps", "1",
          "--out", str(tmp_path / "run")])  # fmt: skip
    kept = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"]["init_args"]
    assert (kept["region_head"], kept["schedule"]) == (None, None)
    main(["--config", str(tmp_path / "run" / "config.yaml"), "--out", str(tmp_path / "again")])
    assert "val/covering" not in summary(tmp_path / "again")["metrics"]


@pytest.mark.slow
def test_images_per_second_counts_training_alone(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_callback(Slow(), monkeypatch)
    main([*tiny, "--out", str(tmp_path / "run")])
    told = summary(tmp_path / "run")
    spent: float = 2 * 8 / told["images_per_second"]
    steps, validations = 2 * 2 * 0.1, 2 * 8 * 0.1
    assert steps < spent < told["seconds"] - validations


def with_callback(callback: Callback, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every trainer of the command line one more callback."""
    from fusionseg.commands import fit

    made = fit.FitCLI.instantiate_trainer

    def more(self: fit.FitCLI, **kwargs: object) -> object:
        trainer = made(self, **kwargs)
        trainer.callbacks.insert(0, callback)  # type: ignore[attr-defined]
        return trainer

    monkeypatch.setattr(fit.FitCLI, "instantiate_trainer", more)


@pytest.mark.slow
def test_an_interrupted_training_keeps_what_there_is(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_callback(Interrupts(3), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        main([*tiny, "--out", str(tmp_path / "run")])
    told = summary(tmp_path / "run")
    assert told["status"] == "interrupted"
    assert told["best"]["epoch"] == 0
    assert torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3
    assert len([row for row in rows(tmp_path / "run") if row["val/score"]]) == 1


@pytest.mark.slow
def test_weights_of_a_run_are_where_another_starts(
    trained: Path, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = ["--model.optimizer", "SGD", "--model.optimizer.lr", "0", "--trainer.max_epochs", "1"]
    main([*tiny, *still, "--weights", str(trained), "--out", str(tmp_path / "run")])
    told = capsys.readouterr().out
    assert re.match(r"the model: (\d+) of \1 tensors loaded", told)
    first, second = (
        torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
        for run in (trained, tmp_path / "run")
    )
    learned = [name for name, value in first.items() if value.ndim == 4]
    assert len(learned) > 20
    assert all(torch.equal(first[name], second[name]) for name in learned)


@pytest.mark.slow
def test_lightnings_own_options_work(tiny: list[str], tmp_path: Path) -> None:
    stopping = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/score",
                "--trainer.callbacks.mode=max", "--trainer.callbacks.min_delta=9"]  # fmt: skip
    main(
        [
            *tiny,
            *stopping,
            "--trainer.callbacks.patience=1",
            "--trainer.max_epochs=5",
            "--out",
            str(tmp_path / "a"),
        ]
    )
    assert len([row for row in rows(tmp_path / "a") if row["val/score"]]) == 2
    main(
        [
            *tiny,
            "--trainer.logger",
            "false",
            "--trainer.enable_checkpointing",
            "false",
            "--out",
            str(tmp_path / "b"),
        ]
    )
    assert {p.name for p in (tmp_path / "b").iterdir()} == {"config.yaml", "pictures", "summary.json"}
    assert summary(tmp_path / "b")["best"]["checkpoint"] is None
    main([*tiny, "--trainer.fast_dev_run", "true", "--out", str(tmp_path / "c")])


@pytest.mark.slow
def test_a_default_folder_names_the_experiment(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("trainer: {max_epochs: 1}")
    main([*tiny, "--config", "mine.yaml", "--trainer.max_steps", "1"])
    assert re.fullmatch(r"runs/\d{8}-\d{6}-mine", capsys.readouterr().out.splitlines()[-1])


@pytest.mark.slow
def test_control_c_ends_with_130_and_no_traceback(tiny: list[str], tmp_path: Path) -> None:
    words = [*tiny, "--trainer.max_epochs", "1000", "--data.workers", "1", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "fusionseg.fit", *words]
    with (tmp_path / "err").open("w") as err:
        # a shell without a terminal starts its background jobs deaf to Ctrl-C
        hearing = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        process = subprocess.Popen(
            command, stdout=err, stderr=err, start_new_session=True, preexec_fn=hearing
        )
        wait_for(lambda: "epoch 1/" in (tmp_path / "err").read_text() or process.poll() is not None)
        os.killpg(process.pid, 2)  # a terminal's Ctrl-C reaches the workers too
        assert process.wait(300) == 130
    told = (tmp_path / "err").read_text()
    assert told.splitlines()[-1] == "interrupted"
    assert "Traceback" not in told
    assert summary(tmp_path / "run")["status"] == "interrupted"


def wait_for(happened: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.05)
