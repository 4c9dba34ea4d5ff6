import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionseg.commands import fit
from fusionseg.commands.evaluate import EvaluateCLI, main
from fusionseg.config.errors import UsageError, UserError
from fusionseg.metrics import BoundaryCalibration, ClassCalibration
from fusionseg.metrics.suite import total
from fusionseg.runs.checkpoints import load_state
from fusionseg.sample import Truth

ASKED = ("--pictures", "0", "--calibration")
FILES = {"val_calibration.csv", "val_calibration.png", "val_risk_coverage.csv"}


def result(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "evaluation" / "val.json").read_text())
    return content


def written(run: Path) -> set[str]:
    return {path.name for path in (run / "evaluation").iterdir()}


def predicted(run: Path) -> list[tuple[Any, Truth]]:
    """The probabilities of each validation image by the model itself, and its labels."""
    cli = EvaluateCLI(["--config", str(run / "config.yaml"), "--run", str(run)])
    load_state(cli.model, run / "checkpoints" / "best.ckpt")
    cli.model.eval()
    data = cli.datamodule
    data.setup("validate")
    found = []
    for batch in data.val_dataloader():
        truth = data.dataset("val").truth(int(batch["index"][0]))
        moved = data.on_after_batch_transfer(batch, 0)
        extras = ("log_probabilities", "contour_logits")
        [answer] = cli.model.predictions(moved, truth.semantic.shape, extras)
        found.append((answer, truth))
    return found


@pytest.mark.slow
def test_figures_are_those_of_the_model_s_probabilities(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--run", str(trained), *ASKED, "--trainer.precision", "32-true"])
    found = result(trained)["calibration"]
    images = predicted(trained)
    expected: dict[str, float] = {}
    for metric in (ClassCalibration(images[0][0]["log_probabilities"].shape[0]), BoundaryCalibration()):
        sums = total(metric.sums(answer[metric.answer], truth) for answer, truth in images)
        expected |= metric.figures(sums)
    assert found["metrics"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert found.keys() == {"metrics", "per_class"}
    out = capsys.readouterr().out
    assert f"val/calibration/ece                  {found['metrics']['ece']:.4f}\n" in out
    assert f"val/calibration/boundary_nll         {found['metrics']['boundary_nll']:.4f}\n" in out
    assert written(trained) >= FILES
    main(["--run", str(trained), "--pictures", "0"])
    assert "calibration" not in result(trained)
    assert not written(trained) & FILES


@pytest.mark.slow
def test_images_that_are_drawn_do_not_keep_the_probabilities_of_all_classes(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusionseg.runs import evaluation_files

    kept = []
    draw = evaluation_files._picture

    def picture(ranked: Any, *args: Any) -> Any:
        kept.append(set(ranked.image.prediction.maps))
        return draw(ranked, *args)

    monkeypatch.setattr(evaluation_files, "_picture", picture)
    main(["--run", str(trained), "--calibration", "--pictures", "1"])
    assert kept
    assert all(maps <= {"semantic", "region", "fused", "panoptic", "scene"} for maps in kept)


@pytest.mark.slow
def test_a_band_needs_calibration_and_a_width(trained: Path) -> None:
    with pytest.raises(UsageError, match=r"^band: expected --calibration true beside it"):
        main(["--run", str(trained), "--band", "3"])
    with pytest.raises(UsageError, match=r"^band: expected 0 or more pixels, found -1"):
        main(["--run", str(trained), *ASKED, "--band", "-1"])
    assert not (trained / "evaluation").exists()


@pytest.mark.slow
def test_the_band_is_that_of_the_command_line(trained: Path) -> None:
    found = []
    for band in ("0", "4"):
        main(["--run", str(trained), *ASKED, "--band", band])
        found.append(result(trained)["calibration"]["metrics"])
    assert found[0]["boundary_nll"] != found[1]["boundary_nll"]
    assert found[0]["nll"] == found[1]["nll"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "figures"),
    [
        ("semantic", {"ece", "classwise_ece", "brier", "nll", "aurc", "aurc_error"}),
        ("region", {f"boundary_{name}" for name in ("ece", "brier", "nll", "aurc", "aurc_error")}),
    ],
)
def test_a_run_of_one_task_has_the_figures_of_that(
    task: str, figures: set[str], tiny: list[str], tmp_path: Path
) -> None:
    other = "region" if task == "semantic" else "semantic"
    run = tmp_path / "run"
    fit.main([*tiny, "--trainer.max_epochs", "1", f"--model.{other}_head", "null", "--out", str(run)])
    main(["--run", str(run), *ASKED])
    assert result(run)["calibration"]["metrics"].keys() == figures
    assert np.isfinite(list(result(run)["calibration"]["metrics"].values())).all()
    assert written(run) >= FILES


@pytest.mark.slow
def test_a_run_without_probabilities_is_refused_before_anything_is_written(
    tiny: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    heads = ("--model.semantic_head", "null", "--model.region_head", "CenterOffsetHead")
    fit.main([*tiny, "--trainer.max_epochs", "1", *heads, "--out", str(run)])
    with pytest.raises(UserError, match="predicts neither, only region: leave --calibration out"):
        main(["--run", str(run), *ASKED])
    assert not (run / "evaluation").exists()
