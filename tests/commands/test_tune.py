import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fusionseg.commands import evaluate, fit, oracle, predict, report
from fusionseg.commands.tune import main
from fusionseg.config.errors import UsageError, UserError
from fusionseg.data import SyntheticScenes
from fusionseg.files.images import write_png
from fusionseg.inference.predictor import Predictor
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.run_result import RunResult
from fusionseg.tuning import measuring, search

QUICK = ["--metric", "val/voi", "--trials", "6", "--jobs", "1"]
"""The untrained model has many fragments, so that their variation of information is easily lowered."""


@pytest.fixture(scope="module")
def _tuned(_trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = shutil.copytree(_trained, tmp_path_factory.mktemp("tuned") / "run")
    main(["--run", str(run), *QUICK])
    return run


@pytest.fixture
def tuned(_tuned: Path, tmp_path: Path) -> Path:
    """A run that was tuned, to do with as one likes."""
    return shutil.copytree(_tuned, tmp_path / "tuned")


def decoder(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((run / "decoder.yaml").read_text())
    return content


def evaluated(run: Path, *args: str) -> dict[str, Any]:
    evaluate.main(["--run", str(run), "--pictures", "0", *args])
    split = "test" if "test" in args else "val"
    folder = run / "evaluation" / ("last" if "last" in args else "")
    content: dict[str, Any] = json.loads((folder / f"{split}.json").read_text())
    return content


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_evaluation_decodes_with_what_was_tuned_unless_it_is_told_not_to(
    tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = decoder(tuned)
    assert found["after"]["voi"] < found["before"]["voi"]
    assert found["untuned"] == {"region": {"threshold": 0.5, "min_area": 20}}
    assert (found["metric"], found["trials"], found["images"]) == ("val/voi", 6, 8)
    result = evaluated(tuned)
    assert {name: result["metrics"][name] for name in found["after"]} == pytest.approx(
        found["after"], rel=1e-12
    )
    assert result["decoder"]["parameters"] == found["parameters"] != found["untuned"]
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("tuned decoder (region.threshold 0.")
    assert line.endswith("so that figures of these images are optimistic")
    result = evaluated(tuned, "--untuned")
    assert {name: result["metrics"][name] for name in found["before"]} == pytest.approx(
        found["before"], rel=1e-12
    )
    assert "decoder" not in result
    assert capsys.readouterr().err == ""
    result = evaluated(tuned, "--split", "test")
    assert result["decoder"]["parameters"] == found["parameters"]
    assert "optimistic" not in capsys.readouterr().err


@pytest.mark.slow
def test_temperatures_are_fitted_to_what_the_evaluation_measures(tuned: Path) -> None:
    fits = decoder(tuned)["calibration"]
    assert fits.keys() == {"semantic", "region"}
    result = evaluated(tuned, "--calibration")
    for task, figure in (("semantic", "nll"), ("region", "boundary_nll")):
        assert fits[task]["nll_after"] < fits[task]["nll_before"]
        assert result["calibration"]["metrics"][figure] == pytest.approx(fits[task]["nll_after"], rel=1e-5)
        before = result["calibration"]["untempered"][figure]
        assert before == pytest.approx(fits[task]["nll_before"], rel=1e-5)
    temperatures = {task: fit["temperature"] for task, fit in fits.items()}
    assert result["calibration"]["temperatures"] == result["decoder"]["temperatures"] == temperatures


@pytest.mark.slow
def test_temperatures_change_probabilities_and_no_label(tuned: Path) -> None:
    content = decoder(tuned)
    content["parameters"] = content["untuned"]
    (tuned / "decoder.yaml").write_text(yaml.safe_dump(content))
    photo = SyntheticScenes("val", 1, (64, 64)).read(0).image
    hot, plain = (Predictor(tuned, untuned=untuned)(photo) for untuned in (False, True))
    for name in ("semantic", "region", "fused", "panoptic"):
        np.testing.assert_array_equal(hot.maps[name], plain.maps[name])
    for name in ("confidence", "boundaries"):
        assert not np.allclose(hot.maps[name], plain.maps[name])


@pytest.mark.slow
def test_without_parameters_temperatures_alone_are_fitted(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    fit.main([*tiny, "--trainer.max_epochs", "1", "--model.region_head", "null", "--out", str(run)])
    capsys.readouterr()
    main(["--run", str(run), "--jobs", "1"])
    out, err = capsys.readouterr()
    assert err.startswith("no head has parameters of its decoding: temperatures alone are fitted\n")
    assert re.fullmatch(r"val/nll of semantic +\d.* -> \d.*, temperature .*\n.*decoder.yaml\n", out)
    found = decoder(run)
    assert (found["parameters"], found["trials"], found["metric"]) == ({}, 0, "likelihood")
    evaluated(run)
    assert capsys.readouterr().err.startswith("tuned probabilities (semantic.temperature ")
    with pytest.raises(UsageError, match="expected a head whose decoding has parameters to tune"):
        main(["--run", str(run), "--temperature", "false"])


@pytest.mark.slow
def test_temperatures_can_be_left_out(trained: Path) -> None:
    main(["--run", str(trained), *QUICK[:2], "--trials", "1", "--jobs", "1", "--temperature", "false"])
    assert decoder(trained)["calibration"] == {}


@pytest.mark.slow
def test_tuning_again_begins_with_what_was_found(tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = decoder(tuned)
    main(["--run", str(tuned), "--metric", "voi", "--trials", "2", "--jobs", "1", "--seed", "7"])
    after = decoder(tuned)
    assert after["parameters"] == before["parameters"]
    assert (after["before"], after["after"]) == (before["before"], before["after"])
    assert (after["trials"], after["seed"]) == (2, 7)
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == str(tuned / "decoder.yaml")
    assert err.startswith("outputs and labels of 8 images take ")


@pytest.mark.slow
def test_a_decoder_of_another_checkpoint_is_refused(tuned: Path) -> None:
    last = ["--checkpoint", "last"]
    with pytest.raises(UserError, match="leave it out with --untuned true"):
        evaluated(tuned, *last)
    assert "decoder" not in evaluated(tuned, *last, "--untuned")


@pytest.mark.slow
def test_predictions_are_of_the_tuned_decoder_and_are_not_continued_by_another(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(tmp_path / "photo.png", SyntheticScenes("val", 1, (64, 64)).read(0).image)
    words = ["--run", str(tuned), "--images", str(tmp_path / "photo.png")]
    predict.main([*words, "--out", str(tmp_path / "a")])
    assert capsys.readouterr().err.startswith("tuned decoder (region.threshold")
    predict.main([*words, "--out", str(tmp_path / "b"), "--untuned"])
    first, second = (
        json.loads((tmp_path / name / "predictions.jsonl").read_text().splitlines()[0]) for name in "ab"
    )
    assert first["decoder"]["parameters"] == decoder(tuned)["parameters"]
    assert first == {**second, "decoder": first["decoder"]}
    regions = [(tmp_path / name / "region" / "photo.png").read_bytes() for name in "ab"]
    assert regions[0] != regions[1]
    with pytest.raises(FileExistsError, match="already holds predictions by another decoder: choose another"):
        predict.main([*words, "--out", str(tmp_path / "a"), "--untuned"])
    with pytest.raises(FileExistsError, match="already holds predictions by another decoder: choose another"):
        predict.main([*words, "--out", str(tmp_path / "b")])


@pytest.mark.slow
def test_an_oracle_of_a_tuned_run_is_of_its_decoder(tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    oracle.main(["--run", str(tuned)])
    assert capsys.readouterr().err.startswith("tuned decoder (")
    file = tuned / "evaluation" / "val_oracle.json"
    assert json.loads(file.read_text())["decoder"]["parameters"] == decoder(tuned)["parameters"]
    oracle.main(["--run", str(tuned), "--untuned"])
    assert "decoder" not in json.loads(file.read_text())


@pytest.mark.slow
def test_a_report_draws_a_run_with_the_decoder_of_its_evaluation(tuned: Path) -> None:
    record = {"split": "val", "checkpoint": "best", "decoder": {"parameters": decoder(tuned)["parameters"]}}
    shutil.move(RunFolder(tuned).decoder, tuned / "elsewhere.yaml")

    def pictures(evaluated: dict[str, Any]) -> dict[str, Any]:
        file = tuned / "evaluated.json"
        file.write_text(json.dumps(evaluated))
        result = RunResult("tuned", 0, tuned, "finished", evaluations={"val": file})
        return report._predicted(result, "val", ["val-00001"], [])

    with_it = pictures(record)
    without = pictures({**record, "decoder": None})
    assert with_it.keys() == without.keys() == {"val-00001"}
    differing = [
        key for key in without["val-00001"] if (with_it["val-00001"][key] != without["val-00001"][key]).any()
    ]
    assert "region" in " ".join(differing)
    assert "image" not in differing


def test_reset_leaves_the_run_as_it_was_trained(
    tuned: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--run", str(tuned), "--reset"])
    assert capsys.readouterr().out == f"removed {tuned / 'decoder.yaml'}\n"
    assert contents(tuned) == contents(trained)
    main(["--run", str(tuned), "--reset"])
    assert capsys.readouterr().out == f"{tuned} is not tuned\n"
    with pytest.raises(FileNotFoundError, match=r"expected a run folder with config\.yaml in it"):
        main(["--run", str(tuned / "pictures"), "--reset"])
    with pytest.raises(UsageError, match=r"^metrik: no such setting; did you mean metric\?$"):
        main(["--run", str(tuned), "--reset", "--metrik", "voi"])


@pytest.mark.slow
def test_the_test_split_is_never_read(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    made = SyntheticScenes.__init__

    def constructed(self: SyntheticScenes, split: Any, *args: Any, **kwargs: Any) -> None:
        asked.append(split)
        made(self, split, *args, **kwargs)

    monkeypatch.setattr(SyntheticScenes, "__init__", constructed)
    main(["--run", str(trained), *QUICK])
    assert "val" in asked
    assert "test" not in asked


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric", "val/cover"], r"^metric: no figure 'val/cover'; did you mean val/covering\?$"),
        (["--trials", "0"], r"^trials: expected 1 or more, found 0$"),
        (["--jobs", "0"], r"^jobs: expected 1 or more, found 0$"),
    ],
)
def test_a_mistake_is_named_and_changes_nothing(words: list[str], message: str, trained: Path) -> None:
    before = contents(trained)
    with pytest.raises(UsageError, match=message):
        main(["--run", str(trained), *words])
    assert contents(trained) == before


def interrupted(monkeypatch: pytest.MonkeyPatch, trial: int) -> None:
    """Ctrl-C in a trial, counted from 1."""
    calls: list[Path] = []

    def measured(file: Path, parameters: Any) -> Any:
        calls.append(file)
        if calls.count(file) == trial:
            raise KeyboardInterrupt
        return measuring.measured(file, parameters)

    monkeypatch.setattr(search, "measured", measured)


@pytest.mark.slow
def test_control_c_before_anything_is_known_leaves_the_run_as_it_was(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(trained)
    interrupted(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        main(["--run", str(trained), *QUICK])
    assert contents(trained) == before


@pytest.mark.slow
def test_control_c_later_keeps_the_best_so_far(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        main(["--run", str(trained), *QUICK])
    assert decoder(trained)["trials"] == 3
    assert decoder(trained)["after"]["voi"] <= decoder(trained)["before"]["voi"]
    assert capsys.readouterr().err.splitlines()[-1] == "stopped after 3 of 6 trials"


@pytest.mark.slow
def test_several_processes_find_what_one_finds(trained: Path, tuned: Path) -> None:
    main(["--run", str(trained), *QUICK[:-1], "2"])
    assert decoder(trained) == decoder(tuned)
    assert not multiprocessing.active_children()


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder with a short path, as sockets need it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_process_that_is_stopped_leaves_a_run_that_is_whole(
    sent: signal.Signals, code: int, trained: Path, temporary: Path
) -> None:
    before = contents(trained)
    words = [
        "-m",
        "fusionseg",
        "tune",
        "--run",
        str(trained),
        *QUICK[:2],
        "--trials",
        "100000",
        "--jobs",
        "2",
    ]
    process = subprocess.Popen(
        [sys.executable, *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("outputs and labels of 8 images take")
    assert process.stderr.readline().startswith("trial 1/100000  val/voi ")
    assert process.stderr.readline().startswith("trial ")  # a better one
    process.send_signal(sent)
    try:
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    after = contents(trained)
    if sent == signal.SIGINT:
        assert decoder(trained)["after"]["voi"] < decoder(trained)["before"]["voi"]
        after.pop("decoder.yaml")
    assert after == before
    assert sent == signal.SIGKILL or not list(temporary.iterdir())
