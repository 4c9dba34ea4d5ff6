from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
import yaml
from jsonargparse import Namespace
from safetensors.torch import save_file
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR

from fusionseg.config.errors import UsageError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.files.state_dicts import WeightsError
from fusionseg.heads import CenterOffsetHead, SemanticHead
from fusionseg.losses import CrossEntropy, Dice, MeanLoss
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing
from fusionseg.networks.backbone import Backbone
from fusionseg.runs.checkpoints import load_state, opened
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import arguments, restored, start_from
from fusionseg.runs.resume import without_start
from fusionseg.sample import Sample

Scenes = Callable[..., Sample]
CLASSES = SyntheticScenes.classes
OWN = """
from fusionseg.module import FusionModule

class Own(FusionModule):
    def __init__(self, classes, width: int = 3) -> None:
        super().__init__(classes, region_head=None)
        self.save_hyperparameters({"classes": self.hparams["classes"], "width": width,
                                   "backbone": self.hparams["backbone"]}, logger=False)
        self.width = width
"""


def module() -> FusionModule:
    losses: list[Any] = [
        partial(CrossEntropy, label_smoothing=0.1),
        Dice,
        partial(MeanLoss, loss=torch.nn.CrossEntropyLoss),
    ]
    return FusionModule(
        CLASSES,
        alpha=0.25,
        semantic_head=partial(SemanticHead, losses=losses, dropout=0.2),
        region_head=partial(CenterOffsetHead, sigma=5.0),
        network=partial(HardSharing, shared_decoder=False),
        backbone=Backbone("tu-test_efficientnet", decoder="FPN", options={"decoder_pyramid_channels": 64}),
        optimizer=partial(SGD, lr=0.1, momentum=0.9),
        schedule=partial(StepLR, step_size=3),
        encoder_lr=0.5,
    )


def saved(model: pl.LightningModule, path: Path) -> Path:
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=path.parent,
    )
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return path


def assert_within(told: Any, spelled_out: Any) -> None:
    """A rebuilt recipe says the same as the one that was given, and its defaults too."""
    if isinstance(told, dict):
        for key, value in told.items():
            if key != "init_args" or value:
                assert_within(value, spelled_out[key])
    elif isinstance(told, list):
        for pair in zip(told, spelled_out, strict=True):
            assert_within(*pair)
    else:
        assert told == spelled_out


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return saved(module(), tmp_path / "run" / "checkpoints" / "best.ckpt")


@pytest.mark.slow
def test_a_checkpoint_alone_rebuilds_what_python_built(checkpoint: Path, scenes: Scenes) -> None:
    model = module()
    load_state(model, checkpoint)
    again = FusionModule.load_from_checkpoint(checkpoint, weights_only=True)
    assert str(again.network) == str(model.network)
    assert_within(
        dict(model.hparams) | {"backbone": {"encoder": "tu-test_efficientnet", "decoder": "FPN"}},
        again.hparams,
    )
    assert (again.objective.weights, again.fine_tuning.encoder_lr) == ({"semantic": 0.25, "region": 1.0}, 0.5)
    optimizer = again.optimizer(again.parameters())
    assert isinstance(optimizer, SGD)
    assert (optimizer.defaults["lr"], optimizer.defaults["momentum"]) == (0.1, 0.9)
    assert again.schedule.recipe is not None
    assert again.schedule.recipe(optimizer).step_size == 3  # type: ignore[attr-defined]
    batch = scenes(2, (50, 70))
    answers = [m.eval().predictions(batch, (100, 140)) for m in (model, again)]
    for ours, theirs in zip(*answers, strict=True):
        for key in ("semantic", "region", "fused", "panoptic"):
            assert (ours[key] == theirs[key]).all()
    with torch.no_grad():
        images = batch["image"][..., :32, :64]
        for task, output in model(images)[-1].items():
            assert torch.equal(output, again(images)[-1][task])


@pytest.mark.slow
def test_a_rebuilt_model_saves_the_same_recipe_again(checkpoint: Path, tmp_path: Path) -> None:
    again = saved(restored(checkpoint)[0], tmp_path / "again.ckpt")
    first, second = (torch.load(path, weights_only=True)["hyper_parameters"] for path in (checkpoint, again))
    assert_within(first, second)
    assert first.keys() == second.keys()


@pytest.mark.slow
def test_the_file_of_weights_that_a_run_began_with_may_be_gone(tmp_path: Path) -> None:
    encoder, _ = Backbone(decoder="FPN").build()
    save_file(encoder.body.state_dict(), tmp_path / "begin.safetensors")
    backbone = Backbone(weights=str(tmp_path / "begin.safetensors"), decoder="FPN", mean=[0.1, 0.2, 0.3])
    model = FusionModule(CLASSES, backbone=backbone)
    path = saved(model, tmp_path / "some.ckpt")
    (tmp_path / "begin.safetensors").unlink()
    again: Any = restored(path)[0]
    assert again.network.encoder.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert torch.equal(again.network.encoder.std, model.network.encoder.std)  # type: ignore[arg-type]
    assert model.hparams["backbone"]["weights"] == str(tmp_path / "begin.safetensors")


def test_a_restored_model_is_ready_to_answer(checkpoint: Path) -> None:
    model, data = restored(checkpoint)
    assert isinstance(model, FusionModule)
    assert model.classes == CLASSES
    assert not model.training
    assert data == {}


@pytest.mark.slow
def test_a_run_folder_knows_its_model_s_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_model.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    import own_model  # type: ignore[import-not-found]

    path = saved(own_model.Own(CLASSES, width=7), tmp_path / "run" / "checkpoints" / "best.ckpt")
    config = {"model": {"class_path": "own_model.Own"}}
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    model: Any = restored(RunFolder(tmp_path / "run").checkpoint(), tmp_path / "run", ["own_model"])[0]
    assert isinstance(model, own_model.Own)
    assert model.width == 7
    assert RunFolder(tmp_path / "run").checkpoint() == path


def test_a_checkpoint_of_another_architecture_is_refused(checkpoint: Path) -> None:
    other = FusionModule(CLASSES, region_head=None, backbone=Backbone("tu-test_efficientnet", decoder="FPN"))
    with pytest.raises(
        WeightsError, match=r"best.ckpt is of another architecture .* \(\d+ differences\): .* is missing"
    ):
        load_state(other, checkpoint)


def test_a_checkpoint_of_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    few = type(CLASSES)(("a", "b"), ((0, 0, 0),) * 2)
    path = saved(
        FusionModule(few, backbone=Backbone("tu-test_efficientnet", decoder="FPN")), tmp_path / "few.ckpt"
    )
    with pytest.raises(
        WeightsError, match=r"2 differences\): .*weight is \(2, 128, 1, 1\) there and \(6, 128, 1, 1\) here"
    ):
        load_state(FusionModule(CLASSES, backbone=Backbone("tu-test_efficientnet", decoder="FPN")), path)


def test_files_that_are_no_checkpoints_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none.ckpt: no such checkpoint"):
        opened(tmp_path / "none.ckpt")
    torch.save({"weight": torch.ones(1)}, tmp_path / "state.pt")
    with pytest.raises(WeightsError, match="expected a checkpoint with a state_dict"):
        opened(tmp_path / "state.pt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(WeightsError, match=r"not of a FusionModule; name the run folder instead"):
        restored(tmp_path / "foreign.ckpt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match=r"best.ckpt: not a complete checkpoint"):
        opened(checkpoint)


WRONG: dict[str, dict[str, Any]] = {
    "what it holds makes no FusionModule: network: ": {"network": "os.getcwd"},
    "what it holds makes no FusionModule: expected a class, found os.getcwd": {
        "schedule": {"class_path": "os.getcwd"}
    },
    "what it holds makes no FusionModule: ": {"classes": {"names": 7}},
    "what it holds makes no FusionModule: 'gaussian' ": {"encoder_lr": "gaussian"},
}


@pytest.mark.parametrize("message", WRONG)
def test_hyperparameters_that_make_no_model_are_one_error(message: str, checkpoint: Path) -> None:
    content = opened(checkpoint)
    content["hyper_parameters"] |= WRONG[message]
    torch.save(content, checkpoint)
    with pytest.raises(WeightsError, match=f"{checkpoint}: {message.split(' ')[0]}") as raised:
        restored(checkpoint)
    assert "\n" not in str(raised.value)


def test_a_part_of_one_s_own_that_is_not_found_says_where_to_start(checkpoint: Path) -> None:
    content = opened(checkpoint)
    content["hyper_parameters"]["region_head"] = {"class_path": "elsewhere.Head"}
    torch.save(content, checkpoint)
    with pytest.raises(
        WeightsError, match=r"No module named 'elsewhere': start this in the folder that holds it, or"
    ):
        restored(checkpoint, trust=["elsewhere"])


@pytest.mark.slow
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, checkpoint: Path) -> None:
    content = opened(checkpoint)
    name = next(name for name, _ in module().named_parameters())
    content["state_dict"][name].fill_(value)
    torch.save(content, checkpoint)
    with pytest.raises(WeightsError, match=f"{checkpoint}: the weights hold NaN or infinity in {name}"):
        restored(checkpoint)
    with pytest.raises(WeightsError, match="NaN or infinity"):
        load_state(module(), checkpoint)


@pytest.mark.parametrize("key", ["state_dict", "hyper_parameters", "datamodule_hyper_parameters"])
def test_parts_of_another_type_are_refused(key: str, checkpoint: Path) -> None:
    torch.save(opened(checkpoint) | {key: [7]}, checkpoint)
    with pytest.raises(WeightsError, match=f"{checkpoint}: expected names and .* {key}"):
        opened(checkpoint)


@pytest.mark.parametrize(
    "text", ["", "model: null", "model: {class_path: [1]}", "model: {class_path: os.getcwd}", "\0"]
)
def test_a_run_whose_configuration_names_no_model_is_refused(text: str, checkpoint: Path) -> None:
    config = checkpoint.with_name("config.yaml")
    config.write_text(text)
    with pytest.raises(UsageError, match=str(config)):
        restored(checkpoint, config.parent)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a run folder with config.yaml"):
        RunFolder(tmp_path).configuration()
    with pytest.raises(FileNotFoundError, match=r"best.ckpt: no such checkpoint; has the run finished"):
        RunFolder(tmp_path).checkpoint()


def test_evaluation_and_resume_rebuild_the_dilation_that_a_run_was_trained_with(trained: Path) -> None:
    run = RunFolder(trained)
    content = torch.load(run.best, weights_only=True)
    assert "--model.backbone.late_dilation=false" in arguments(run)
    content["hyper_parameters"]["backbone"]["late_dilation"] = True
    torch.save(content, run.best)
    assert "--model.backbone.late_dilation=true" in arguments(run)
    backbone = Namespace(weights="gone.pth", mean=None, std=None, late_dilation=None)
    without_start(Namespace(model=Namespace(init_args=Namespace(backbone=backbone))), run.best)
    assert (backbone.weights, backbone.late_dilation) == (None, True)
    assert backbone.mean == content["hyper_parameters"]["backbone"]["mean"]


@pytest.mark.slow
def test_a_model_may_start_from_a_saved_folder_and_adopts_its_normalization(tmp_path: Path) -> None:
    backbone = Backbone(decoder="FPN", mean=[0.1, 0.2, 0.3])
    FusionModule(CLASSES, backbone=backbone).save_pretrained(tmp_path)
    model = FusionModule(CLASSES, backbone=Backbone(decoder="FPN"))
    start_from(model, tmp_path)
    again = FusionModule.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())
    assert model.network.encoder.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])  # type: ignore[operator]
