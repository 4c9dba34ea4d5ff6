import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fusionseg.commands.evaluate import EvaluateCLI, main
from fusionseg.config.errors import UsageError
from fusionseg.data import SyntheticScenes
from fusionseg.engine.evaluation import evaluated as scored
from fusionseg.metrics.suite import MetricSuite


def result(run: Path, split: str = "val", folder: str = "evaluation") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / folder / f"{split}.json").read_text())
    return content


def same(first: dict[str, Any], second: dict[str, Any], tolerance: float = 1e-12) -> bool:
    """Whether figures are equal; what is undefined is null in a file and NaN elsewhere."""
    assert first.keys() == second.keys()
    a, b = ([np.nan if f[name] is None else f[name] for name in first] for f in (first, second))
    return np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.fixture
def evaluated(trained: Path) -> Path:
    main(["--run", str(trained)])
    return trained


@pytest.mark.slow
def test_its_figures_are_those_of_the_best_epoch(evaluated: Path) -> None:
    best = json.loads((evaluated / "summary.json").read_text())["best"]["metrics"]
    figures = {f"val/{name}": value for name, value in result(evaluated)["metrics"].items()}
    # Lightning logs in float32
    assert same(figures, {name: value for name, value in best.items() if "loss" not in name}, 1e-6)


@pytest.mark.slow
def test_the_test_split_is_read_here_and_nowhere_else(
    trained: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusionseg.commands import fit

    asked = []
    made = SyntheticScenes.__init__

    def constructed(self: SyntheticScenes, split: Any, *args: Any, **kwargs: Any) -> None:
        asked.append(split)
        made(self, split, *args, **kwargs)

    monkeypatch.setattr(SyntheticScenes, "__init__", constructed)
    fit.main([*tiny, "--out", str(tmp_path / "run")])
    main(["--run", str(trained), "--pictures", "0"])
    assert set(asked) == {"train", "val"}
    main(["--run", str(trained), "--pictures", "0", "--split", "test"])
    assert "test" in asked
    assert result(trained, "test")["split"] == "test"
    assert result(trained, "test")["metrics"] != result(trained)["metrics"]


@pytest.mark.slow
def test_official_scores_are_measured_where_they_are_asked_for(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--run", str(trained), "--pictures", "0"])
    assert "official" not in result(trained)
    main(["--run", str(trained), "--pictures", "0", "--official", "true"])
    official = result(trained)["official"]
    assert {"boundaries", "regions", "semantic"} <= official.keys()
    measured = result(trained)["metrics"]
    # one threshold and one annotator
    assert official["regions"]["covering_ods"] == pytest.approx(measured["covering"])
    assert official["semantic"]["miou"] == pytest.approx(measured["miou"])
    out = capsys.readouterr().out
    assert re.search(rf"val/official/boundaries/ods +{official['boundaries']['ods']:.4f}\n", out)


@pytest.mark.slow
def test_the_last_line_is_the_file(evaluated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--run", str(evaluated), "--pictures", "0"])
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == str(evaluated / "evaluation" / "val.json")
    assert err == ""


@pytest.mark.slow
def test_the_last_checkpoint_needs_no_best_one(trained: Path) -> None:
    best = trained / "checkpoints" / "best.ckpt"
    best.unlink()
    main(["--run", str(trained), "--checkpoint", "last", "--pictures", "0"])
    assert result(trained, folder="evaluation/last")["checkpoint"] == "last"
    with pytest.raises(FileNotFoundError, match=r"best\.ckpt: no such checkpoint; has the run finished its"):
        main(["--run", str(trained)])
    (trained / "checkpoints" / "last.ckpt").unlink()
    with pytest.raises(FileNotFoundError, match=r"last\.ckpt: no such checkpoint; has the run finished its"):
        main(["--run", str(trained), "--checkpoint", "last"])


@pytest.mark.slow
def test_an_evaluation_of_the_last_checkpoint_leaves_those_of_the_best_one(
    evaluated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def files(folder: Path) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    before = files(evaluated / "evaluation")
    main(["--run", str(evaluated), "--checkpoint", "last", "--pictures", "0"])
    assert files(evaluated / "evaluation") == before
    last = evaluated / "evaluation" / "last"
    assert capsys.readouterr().out.splitlines()[-1] == str(last / "val.json")
    assert {"val.json", "val.csv", "val.npz"} <= {path.name for path in last.iterdir()}


@pytest.mark.slow
def test_further_words_change_the_data_but_not_the_architecture(trained: Path) -> None:
    main(["--run", str(trained), "--pictures", "0", "--data.dataset.length", "3"])
    assert result(trained)["images"] == 3
    shutil.rmtree(trained / "evaluation")
    with pytest.raises(ValueError, match=r"best.ckpt is of another architecture or number of classes"):
        main(["--run", str(trained), "--model.region_head", "CenterOffsetHead"])
    assert not (trained / "evaluation").exists()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("rm -r .", "expected a run folder with config.yaml in it"),
        ("rm -r checkpoints", "best.ckpt: no such checkpoint"),
        ("truncate checkpoints/best.ckpt", "best.ckpt: not a complete checkpoint"),
    ],
)
def test_a_broken_run_is_named(harm: str, message: str, trained: Path) -> None:
    action, name = harm.rsplit(" ", 1)
    path = trained / name
    if action == "truncate":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        shutil.rmtree(path)
    with pytest.raises((ValueError, OSError), match=message):
        main(["--run", str(trained)])


@pytest.mark.slow
def test_a_misspelt_argument_is_named(trained: Path) -> None:
    for wrong in ("--splt", "--spli"):
        with pytest.raises(UsageError, match=rf"^{wrong[2:]}: no such setting; did you mean split\?$"):
            main(["--run", str(trained), wrong, "test"])
    with pytest.raises(UsageError, match=r"^split: expected val or test, found train$"):
        main(["--run", str(trained), "--split", "train"])
    with pytest.raises(UsageError, match=r"^data\.batch_sze: no such setting; did you mean batch_size\?$"):
        main(["--run", str(trained), "--data.batch_sze", "2"])
    with pytest.raises(UsageError, match=r"^the following arguments are required: run$"):
        main(["--split", "val"])


def test_help_shows_every_argument_and_that_others_change_the_configuration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "--run Run folder",
        "--split Which split",
        "val or test",
        "--pictures How many",
        "--wandb Where",
    ):
        assert text in shown
    assert "Further arguments change the run's configuration" in shown


@pytest.mark.slow
def test_a_real_dataset_is_scored_at_the_size_of_its_label_files(
    data: Path, tiny: list[str], tmp_path: Path
) -> None:
    from fusionseg.commands import fit

    camvid = ["--data.dataset", "CamVid", "--data.dataset.root", str(data / "CamVid"), "--data.scale", "0.25"]
    short = [
        "--trainer.max_epochs",
        "1",
        "--trainer.limit_train_batches",
        "1",
        "--trainer.limit_val_batches",
        "1",
    ]
    own = [*camvid, "--data.crop_size", "[64, 64]", "--data.batch_size", "2", "--data.workers", "0"]
    fit.main(
        [*own, *short, "--model.backbone.encoder", "tu-test_efficientnet", "--out", str(tmp_path / "run")]
    )
    run = tmp_path / "run"
    cli = EvaluateCLI(["--config", str(run / "config.yaml"), "--run", str(run)])
    cli.datamodule.setup("validate")
    suite = MetricSuite.standard(cli.datamodule.classes)
    photo, image = next(scored(cli.model, cli.datamodule, "val", "32-true", suite))
    assert photo.shape == (90, 120, 3)
    assert image.prediction["semantic"].shape == image.truth.semantic.shape == (360, 480)
    assert image.sums["semantic"].sum() == (image.truth.semantic != 255).sum()


@pytest.mark.slow
def test_the_file_of_weights_that_the_run_began_with_is_not_needed(trained: Path) -> None:
    main(["--run", str(trained)])
    config = yaml.safe_load((trained / "config.yaml").read_text())
    config["model"]["init_args"]["backbone"]["weights"] = str(trained / "long_gone.safetensors")
    (trained / "config.yaml").write_text(yaml.safe_dump(config))
    before = result(trained)["metrics"]
    main(["--run", str(trained)])
    assert same(result(trained)["metrics"], before)
