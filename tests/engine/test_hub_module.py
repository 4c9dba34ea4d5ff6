"""Saving and reading back: local folders, and huggingface_hub's offline mode in place of its server."""

import inspect
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import huggingface_hub
import lightning.pytorch as pl
import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load_file, save_file

from fusionseg.config.lightning_messages import quiet
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.files.state_dicts import WeightsError
from fusionseg.heads import CenterOffsetHead, SemanticHead
from fusionseg.losses import CrossEntropy, Dice, MeanLoss
from fusionseg.module import FusionModule
from fusionseg.networks import MTAN
from fusionseg.sample import Sample

Scenes = Callable[..., Sample]
Small = Callable[..., FusionModule]
FILES = ["README.md", "config.json", "model.safetensors"]
OWN = """
from fusionseg.module import FusionModule
from fusionseg.heads import SemanticHead

class Own(FusionModule):
    def __init__(self, classes, width: int = 3, backbone: dict | None = None) -> None:
        super().__init__(classes, region_head=None)
        self.save_hyperparameters({"classes": self.hparams["classes"], "width": width}, logger=False)
        self.width = width

class Head(SemanticHead):
    pass
"""


@pytest.fixture(scope="module")
def model(small: Small) -> FusionModule:
    """A model whose batch statistics and decoding are not those of a new one, with recipes of every kind."""
    torch.manual_seed(1)
    losses: list[Any] = [
        partial(CrossEntropy, label_smoothing=0.1),
        Dice,
        partial(MeanLoss, loss=torch.nn.CrossEntropyLoss),
    ]
    made = small(
        alpha=0.25,
        semantic_head=partial(SemanticHead, losses=losses, dropout=0.2),
        region_head=partial(CenterOffsetHead, sigma=5.0),
        network=MTAN,
        optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        thing_area=9,
    )
    made.train()(torch.rand(2, 3, 64, 64))
    return made.eval()


@pytest.fixture
def folder(model: FusionModule, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def changed(folder: Path, **values: object) -> None:
    """Changes what the configuration in a folder says."""
    path = folder / "config.json"
    content = json.loads(path.read_text())
    content["fusionseg"] |= values
    path.write_text(json.dumps(content))


def same(one: FusionModule, other: FusionModule, batch: Sample) -> bool:
    """Whether two models answer the same to the last bit."""
    answers = [each.predictions(batch, (100, 140), ("contours", "probabilities")) for each in (one, other)]
    assert answers[0][0].maps.keys() == answers[1][0].maps.keys()
    return all((a[key] == b[key]).all() for a, b in zip(*answers, strict=True) for key in a.maps)


@pytest.mark.slow
def test_a_model_that_is_read_back_answers_the_same_to_the_last_bit(
    model: FusionModule, folder: Path, scenes: Scenes
) -> None:
    assert sorted(path.name for path in folder.iterdir()) == FILES
    again = FusionModule.from_pretrained(folder)
    assert not again.training
    assert same(model, again, scenes(2, (50, 70)))
    state = again.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert again.areas == (9, 0)
    assert again.objective.weights == model.objective.weights
    assert again.optimizer(again.parameters()).defaults["momentum"] == 0.9


def test_the_file_of_weights_holds_the_state_and_nothing_else(model: FusionModule, folder: Path) -> None:
    assert load_file(folder / "model.safetensors").keys() == model.state_dict().keys()


@pytest.mark.slow
def test_what_is_saved_again_is_the_same_but_for_defaults_that_are_written_out(
    folder: Path, tmp_path: Path
) -> None:
    FusionModule.from_pretrained(folder).save_pretrained(tmp_path / "second")
    FusionModule.from_pretrained(tmp_path / "second").save_pretrained(tmp_path / "third")
    second, third = (tmp_path / name for name in ("second", "third"))
    assert all((second / name).read_bytes() == (third / name).read_bytes() for name in FILES)


@pytest.mark.slow
def test_a_tuned_decoding_is_kept(small: Small, tmp_path: Path, scenes: Scenes) -> None:
    tuned = small()
    tuned.heads["region"].set_decoding(threshold=0.25, min_area=3)
    tuned.save_pretrained(tmp_path)
    again = FusionModule.from_pretrained(tmp_path)
    head: Any = again.heads["region"]
    assert (head.threshold, head.min_area) == (0.25, 3)
    assert same(tuned.eval(), again, scenes())


@pytest.mark.slow
@pytest.mark.parametrize("seen", [{"scale": 0.5}, {"resize": [48, 64]}, {"resize": 48}])
def test_how_images_came_to_the_network_is_kept(
    seen: dict[str, Any],
    small: Small,
    datamodule: Callable[..., SegmentationDataModule],
    plan: Callable[..., pl.Trainer],
    tmp_path: Path,
) -> None:
    model = small()
    trainer = plan(limit_train_batches=1, limit_val_batches=0)
    with quiet():
        trainer.fit(model, datamodule(**seen))
        trainer.save_checkpoint(tmp_path / "some.ckpt")
    model.save_pretrained(tmp_path / "one")
    for again in (
        FusionModule.from_pretrained(tmp_path / "one"),
        FusionModule.load_from_checkpoint(tmp_path / "some.ckpt", weights_only=True),
    ):
        assert again.hub_config().scale == seen.get("scale", 1.0)
        assert again.hub_config().resize == seen.get("resize")
        assert again.hub_config().value_range is None
    assert FusionModule.from_pretrained(tmp_path / "one").hub_config().precision == "32-true"


def test_arguments_may_be_replaced(folder: Path) -> None:
    again = FusionModule.from_pretrained(folder, beta=0.75, optimizer=partial(torch.optim.Adam, lr=0.5))
    assert again.objective.weights == {"semantic": 0.25, "region": 0.75}
    assert again.optimizer(again.parameters()).defaults["lr"] == 0.5


def test_a_card_without_a_run_says_so_and_is_valid(folder: Path) -> None:
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "fusionseg"
    assert card.data.pipeline_tag == "image-segmentation"
    assert "pytorch_model_hub_mixin" in card.data.tags
    assert card.data.license is None
    assert "not made from a run folder" in card.text


class TestHub:
    """The hub, of which only the cache of this machine is there."""

    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    @pytest.fixture
    def cache(self, folder: Path, tmp_path: Path) -> Path:
        """A cache in huggingface_hub's layout, with the model `me/scenes`."""
        home = tmp_path / "cache" / "models--me--scenes"
        (home / "refs").mkdir(parents=True)
        (home / "refs" / "main").write_text("0123abcd")
        shutil.copytree(folder, home / "snapshots" / "0123abcd")
        return tmp_path / "cache"

    @pytest.mark.slow
    def test_a_model_of_the_hub_answers_as_its_folder(
        self, model: FusionModule, cache: Path, scenes: Scenes
    ) -> None:
        assert same(model, FusionModule.from_pretrained("me/scenes", cache_dir=cache), scenes())

    def test_a_model_that_is_not_there_is_an_error_of_the_system(self, cache: Path) -> None:
        with pytest.raises(OSError, match="cache"):
            FusionModule.from_pretrained("me/other", cache_dir=cache)

    @pytest.mark.parametrize("name", ["./nowhere", "/a/b", "a/b/c"])
    def test_what_is_neither_a_folder_nor_an_id_is_one_line(self, name: str) -> None:
        with pytest.raises(WeightsError, match=r"expected a folder .* or a model on the hub") as raised:
            FusionModule.from_pretrained(name)
        assert "\n" not in str(raised.value)

    def test_nothing_is_pushed_without_a_network(self, model: FusionModule) -> None:
        with pytest.raises(OSError, match=r"offline mode is enabled"):
            model.push_to_hub("me/scenes")

    def test_what_is_pushed_is_what_is_saved(
        self, model: FusionModule, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def uploaded(self: HfApi, *, folder_path: Path, repo_id: str, **_: object) -> str:
            shutil.copytree(folder_path, tmp_path / "pushed")
            return f"at {repo_id}"

        monkeypatch.setattr(
            HfApi,
            "create_repo",
            lambda self, repo_id, **_: huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}"),
        )
        monkeypatch.setattr(HfApi, "upload_folder", uploaded)
        assert model.push_to_hub("me/scenes") == "at me/scenes"
        assert sorted(path.name for path in (tmp_path / "pushed").iterdir()) == FILES
        assert all(
            (folder / name).read_bytes() == (tmp_path / "pushed" / name).read_bytes() for name in FILES
        )


class TestUntrusted:
    """A folder of somebody else."""

    @pytest.fixture(autouse=True)
    def own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        (tmp_path / "own_hub_parts.py").write_text(OWN)
        monkeypatch.syspath_prepend(tmp_path)
        yield
        sys.modules.pop("own_hub_parts", None)

    @pytest.mark.parametrize(
        "settings",
        [
            {"semantic_head": {"class_path": "own_hub_parts.Head"}},
            {"semantic_head": "own_hub_parts.Head"},
            {"backbone": {"encoder": "resnet18", "decoder": "own_hub_parts.Head"}},
            {"_class_path": "own_hub_parts.Own"},
            {"network": {"class_path": "os.system", "init_args": {"command": "touch own_hub_parts.pwned"}}},
        ],
    )
    def test_nothing_that_it_names_is_imported(
        self, settings: dict[str, object], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        given = json.loads((folder / "config.json").read_text())["fusionseg"]["init_args"]
        changed(folder, init_args=given | settings)
        with pytest.raises(
            WeightsError, match=r"saved: what it holds makes no FusionModule: .*(own_hub|os)"
        ) as raised:
            FusionModule.from_pretrained(folder)
        assert "\n" not in str(raised.value)
        assert "own_hub_parts" not in sys.modules
        assert not Path("own_hub_parts.pwned").exists()

    def test_a_part_of_one_s_own_is_built_where_it_is_trusted(self, folder: Path) -> None:
        given = json.loads((folder / "config.json").read_text())["fusionseg"]["init_args"]
        changed(folder, init_args=given | {"semantic_head": {"class_path": "own_hub_parts.Head"}})
        again = FusionModule.from_pretrained(folder, trust=["own_hub_parts"])
        assert type(again.heads["semantic"]).__name__ == "Head"

    @pytest.mark.slow
    def test_a_class_of_one_s_own_reads_what_it_saved(self, tmp_path: Path) -> None:
        import own_hub_parts  # type: ignore[import-not-found]

        model = own_hub_parts.Own(SyntheticScenes.classes, width=7)
        model.save_pretrained(tmp_path / "own")
        assert own_hub_parts.Own.from_pretrained(tmp_path / "own", trust=["own_hub_parts"]).width == 7
        with pytest.raises(
            WeightsError, match=r"expected a fusionseg\.FusionModule, found a own_hub_parts\.Own"
        ):
            FusionModule.from_pretrained(tmp_path / "own")

    def test_pickles_are_not_read(self, folder: Path) -> None:
        torch.save({}, folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        with pytest.raises(WeightsError, match=r"model\.safetensors: no such file"):
            FusionModule.from_pretrained(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": "half"}, "config.json: expected a number above 0 as scale, found 'half'"),
        ({"resize": 0}, "expected a longest side, or height and width, as resize, found 0"),
        ({"resize": [64]}, "or height and width, as resize"),
        ({"scale": 0}, "expected a number above 0 as scale"),
        ({"value_range": [3, 1]}, "expected two numbers, low and high, as value_range, found [3, 1]"),
        ({"depth_limit": 0}, "expected a number above 0 as depth_limit, found 0"),
        ({"init_args": 7}, "expected names and values as init_args, found 7"),
        ({"precision": 16}, "expected a precision of Lightning's as precision"),
        ({"decoding": {"region": 7}}, "expected parameters by task and name as decoding"),
        ({"decoding": {"region": {"width": 7}}}, "region: CenterOffsetHead has"),
        ({"decoding": {"depth": {"a": 7}}}, "expected a head of depth, found heads of semantic, region"),
        ({"crop": 7, "version": "9.9"}, "has crop, which fusionseg"),
        ({"class_path": "fusionseg.Other"}, "expected a fusionseg.FusionModule, found a fusionseg.Other"),
    ],
)  # fmt: skip
def test_a_configuration_of_something_else_is_one_line(
    values: dict[str, object], message: str, folder: Path
) -> None:
    changed(folder, **values)
    with pytest.raises(ValueError, match="saved: ") as raised:
        FusionModule.from_pretrained(folder)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "[1]", "{}", "\0", '{"fusionseg": {}}', "[" * 100_000])
def test_a_file_that_is_no_configuration_is_one_line(text: str, folder: Path) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(WeightsError, match="saved") as raised:
        FusionModule.from_pretrained(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_weights_that_do_not_fit_or_are_not_finite_are_one_line(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    name, value = next((k, v) for k, v in state.items() if v.ndim == 4)
    wrong = {
        "Missing key": {k: v for k, v in state.items() if k != name},
        "Unexpected key": {**state, "more": torch.ones(1)},
        "size mismatch": {**state, name: value[..., :0].clone()},
        f"NaN or infinity in {name}": {**state, name: value * torch.nan},
    }
    for message, tensors in wrong.items():
        save_file(tensors, folder / "model.safetensors")
        with pytest.raises(WeightsError, match=message) as raised:
            FusionModule.from_pretrained(folder)
        assert "\n" not in str(raised.value)
    (folder / "model.safetensors").write_bytes(b"truncated")
    with pytest.raises(WeightsError, match="makes no FusionModule"):
        FusionModule.from_pretrained(folder)


def test_a_model_with_broken_weights_leaves_no_files(small: Small, tmp_path: Path) -> None:
    broken = small()
    next(broken.parameters()).data.fill_(torch.inf)
    with pytest.raises(WeightsError, match="NaN or infinity"):
        broken.save_pretrained(tmp_path / "saved")
    assert not list((tmp_path / "saved").iterdir())


def test_a_class_that_inherits_its_constructor_shows_the_same_arguments() -> None:
    class Hooked(FusionModule):
        pass

    class Narrow(FusionModule):
        def __init__(self, classes: Any, width: int = 3) -> None:
            super().__init__(classes)

    assert inspect.signature(Hooked) == inspect.signature(FusionModule)
    assert list(inspect.signature(Narrow).parameters) == ["classes", "width"]
    assert list(inspect.signature(FusionModule).parameters)[:3] == ["classes", "alpha", "beta"]
