import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.cli.configuration import experiment
from fusionseg.cli.parser import Parser
from fusionseg.commands import evaluate, predict
from fusionseg.commands.evaluate import EvaluateCLI
from fusionseg.commands.fit import FitCLI, main

FOREIGN = '''
"""A model and data that share no code with fusionseg but what a sample and a prediction are."""

import torch
from lightning import LightningDataModule, LightningModule
from torch.utils.data import DataLoader

from fusionseg.sample import Classes, Prediction


class Squares(LightningDataModule):
    classes = Classes(("dark", "bright"), ((0, 0, 0), (255, 255, 255)), (1,))

    def __init__(self, length: int = 4) -> None:
        super().__init__()
        self.length = length

    def _batches(self):
        samples = []
        for i in range(self.length):
            semantic = torch.zeros(32, 32, dtype=torch.long)
            semantic[8 : 16 + i, 8:16] = 1
            image = (semantic * 200).to(torch.uint8).expand(3, 32, 32)
            samples.append({"image": image, "semantic": semantic, "region": semantic + 1, "name": f"square-{i}"})
        return DataLoader(samples, batch_size=2)

    train_dataloader = val_dataloader = test_dataloader = _batches


class Threshold(LightningModule):
    def __init__(self, level: float = 0.5) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.level = torch.nn.Parameter(torch.tensor(level))
        self.classes = Squares.classes

    def training_step(self, batch, _):
        bright = batch["image"].float().mean(1) / 255 - self.level
        return torch.nn.functional.binary_cross_entropy_with_logits(bright, batch["semantic"].float())

    def validation_step(self, batch, _):
        answers = self.predictions(batch, batch["image"].shape[-2:])
        right = [(a['semantic'] == b.cpu().numpy()).mean() for a, b in zip(answers, batch["semantic"])]
        self.log("val/score", float(sum(right) / len(right)), batch_size=len(right))
        return answers

    def predictions(self, batch, size):
        image = torch.nn.functional.interpolate(batch["image"].float(), size)
        maps = (image.mean(1) / 255 > self.level).to(torch.uint8).cpu().numpy()
        return [Prediction(name, {"semantic": map_}) for name, map_ in zip(batch["name"], maps)]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)
'''


def test_later_configurations_win_and_null_stays(tmp_path: Path, tiny: list[str]) -> None:
    (tmp_path / "a.yaml").write_text(
        "model: {alpha: 0.3, beta: 0.3, region_head: null}\ndata: {fraction: 0.5}\n"
    )
    (tmp_path / "b.yaml").write_text("model: {init_args: {beta: 0.7}}\n")
    words = [
        "--config",
        str(tmp_path / "a.yaml"),
        f"--config={tmp_path / 'b.yaml'}",
        *tiny,
        "--data.fraction",
        "1",
    ]
    cli = EvaluateCLI([*words, "--run", "somewhere"])
    model, data = cli.config.model.init_args, cli.config.data.init_args
    assert (model.alpha, model.beta, model.region_head, data.fraction) == (0.3, 0.7, None, 1.0)
    assert cli.model.tasks == ["semantic"]


@pytest.mark.slow
def test_null_is_null_wherever_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: {backbone: {weights: imagenet}, optimizer: {class_path: SGD}}")
    words = ["--model.backbone.weights", "null", "--data.cache_dir", "null", "--model.optimizer.foreach=null"]
    config = FitCLI(["--config", str(tmp_path / "a.yaml"), *words, "--out", str(tmp_path / "run")]).config
    assert config.model.init_args.backbone.weights is None
    assert config.model.init_args.optimizer.init_args.foreach is None
    assert config.data.init_args.cache_dir is None


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("--x=None", None),
        ("--x=[None, 1]", [None, 1]),
        ("--x=[[None], {'a': None}]", [[None], {"a": None}]),
        ("--x={'a': True, 'b': [False, None, 'None']}", {"a": True, "b": [False, None, "None"]}),
        ("--x=(None, 2)", [None, 2]),
        ("--x={a: None}", {"a": "None"}),
        ("--x=[True, null]", [True, None]),
    ],
)
def test_what_a_sweep_passes_as_python_is_understood(word: str, expected: object) -> None:
    parser = Parser()
    parser.add_argument("--x", type=Any)
    assert parser.parse_args([word]).x == expected


def test_the_configuration_of_an_experiment_knows_no_command(tmp_path: Path, tiny: list[str]) -> None:
    cli = FitCLI([*tiny, "--out", str(tmp_path / "run"), "--wandb", "disabled"])
    kept = yaml.safe_load(experiment(cli.parser, cli.config))
    assert set(kept) == {"seed_everything", "trainer", "model", "data"}
    assert str(tmp_path) not in str(kept)


@pytest.mark.slow
def test_a_foreign_model_and_foreign_data_pass_all_doors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "foreign.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(str(tmp_path))
    run, out = tmp_path / "run", tmp_path / "out"
    main(
        f"--model foreign.Threshold --model.level 0.6 --data foreign.Squares --trainer.max_epochs 2 --out {run}".split()
    )
    assert capsys.readouterr().out.splitlines()[-1] == str(run)
    assert len(list((run / "pictures").iterdir())) == 2
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["init_args"] == {"level": 0.6}
    evaluate.main(["--run", str(run), "--pictures", "1", "--trust", "foreign"])
    assert "val/miou" in capsys.readouterr().out
    image = run / "pictures" / "epoch_000.png"
    predict.main(["--run", str(run), "--images", str(image), "--out", str(out), "--trust=foreign"])
    assert (out / "semantic" / "epoch_000.png").is_file()


def test_data_without_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="an attribute `classes`, but LightningDataModule has none"):
        EvaluateCLI(["--data", "lightning.LightningDataModule", "--run", "somewhere"])


@pytest.mark.parametrize("command", ["study", "predict", "report"])
def test_help_of_what_begins_without_a_model_needs_no_torch(command: str) -> None:
    script = f"import sys\nfrom fusionseg.commands.{command} import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "lightning", "scipy", "pandas", "optuna"} & set(done.stdout.splitlines()[-1].split())


@pytest.mark.slow
@pytest.mark.parametrize(("value", "kind"), [("1", int), ("1.0", float), ("7", int), ("0.5", float)])
def test_a_limit_is_a_number_of_batches_or_a_share_of_them_as_it_is_written(
    value: str, kind: type, tmp_path: Path
) -> None:
    words = [word for part in ("train", "val") for word in (f"--trainer.limit_{part}_batches", value)]
    cli = FitCLI([*words, "--out", str(tmp_path / "run")])
    cli.run.release()
    for part in ("train", "val"):
        assert type(cli.config.trainer[f"limit_{part}_batches"]) is kind


@pytest.mark.slow
def test_one_is_an_integer_in_whichever_order_a_process_names_the_types_first(tmp_path: Path) -> None:
    script = """
import sys
from typing import Optional, Union

class Finder:
    def find_spec(self, *_):  # before each import, as typing keeps the last 128
        Optional[Union[float, int]]

sys.meta_path.insert(0, Finder())
from fusionseg.commands.fit import FitCLI
swa = ["--trainer.callbacks+=StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=0.1"]
swa += ["--trainer.callbacks.swa_epoch_start=1"]
cli = FitCLI(["--trainer.limit_val_batches=1", *swa, "--out", "run"])
cli.run.release()
print(repr(cli.trainer.limit_val_batches))
print(*(repr(c._swa_epoch_start) for c in cli.trainer.callbacks if hasattr(c, "_swa_epoch_start")))
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split()[-2:] == ["1", "1"]
