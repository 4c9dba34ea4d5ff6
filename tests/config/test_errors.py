import inspect
import re
from pathlib import Path

import pytest

from fusionseg import losses
from fusionseg.commands.fit import FitCLI
from fusionseg.config.errors import UsageError, mapping

BALANCERS, NETWORKS = "expected one of AlignedMTL, CAGrad, ...", "expected one of CrossStitch, ..."

START = ": start this in the folder that holds it, or add that folder to PYTHONPATH"
WRONG = {
    "--model.alhpa 0.3": "model.alhpa: no such setting; did you mean alpha?",
    "--alpha 0.3": "alpha: no such setting; did you mean model.alpha?",
    "--trainer.max_epoch 3": "trainer.max_epoch: no such setting; did you mean trainer.max_epochs?",
    "--trainer.max_epochs three": "trainer.max_epochs: expected an integer or null, found three",
    "--model.alpha abc": "model.alpha: expected a number, found abc",
    "--model.region_head BoundryHead": "model.region_head: expected a Head or null, found BoundryHead; "
    "did you mean BoundaryHead?",
    "--model.backbone.decoder Unett": "model.backbone.decoder: unknown decoder 'Unett'; did you mean Unet? "
    "Expected one of Unet, UnetPlusPlus, ...",
    "--model.region_head Dice": "model.region_head: expected a Head or null, found Dice; expected one of ...",
    "--model.region_head BoundaryHead --model.region_head.widht 4": "model.region_head.widht: no such setting; "
    "did you mean width?",
    "--model.region_head no.such.Head": "model.region_head: expected a Head or null, found no.such.Head "
    f"(No module named 'no'{START})",
    "--model.optimizer SGD --model.optimizer.lr abc": "model.optimizer.lr: expected a number or a Tensor, found abc",
    "--model nosuch.module.Class": "model: expected a LightningModule or null, found nosuch.module.Class "
    f"(No module named 'nosuch'{START})",
    "--data.dataset CamVid": "data.dataset: the following arguments are required: root",
    "--data.cache blah": "data.cache: expected none or memory or disk, found blah",
    "--data.crop_size 64": "data.crop_size: expected a list, found 64",
    "--wandb blah": "wandb: expected online or offline or disabled or null, found blah",
    "--trainer.callbacks EarlyStoping": "trainer.callbacks: expected a list or a Callback or null, found EarlyStoping; "
    "did you mean EarlyStopping?",
    "--trainer.callbacks+=EarlyStopping": "trainer.callbacks: the following arguments are required: monitor",
    "--trainer.callbacks EarlyStopping": "trainer.callbacks: the following arguments are required: monitor",
    "--model.schedule ReduceLROnPlateau": "model.schedule: the following arguments are required: monitor",
    "--trainer.callbacks nosuch.Callback": "trainer.callbacks: expected a list or a Callback or null, "
    f"found nosuch.Callback (No module named 'nosuch'{START})",
    "--data.dataset nosuch.Data": "data.dataset: expected a SegmentationDataset, found nosuch.Data "
    f"(No module named 'nosuch'{START})",
    "--model torch.zeros": "model: expected a LightningModule or null, found torch.zeros; expected one of ...",
    "--model.schedule torch.nn.functional.relu": "model.schedule: expected a LRScheduler or null, found "
    "torch.nn.functional.relu; expected one of ...",
    "--model.schedule textwrap.dedent": "model.schedule: expected a LRScheduler or null, found textwrap.dedent; "
    "expected one of ...",
    "stray": "unrecognized arguments: stray",
    "--model.balancer torch.nn.Linear": f"model.balancer: expected a Balancer, found torch.nn.Linear; {BALANCERS}",
    "--model.balancer torch.zeros": f"model.balancer: expected a Balancer, found torch.zeros; {BALANCERS}",
    "--model.network [MTAN]": "model.network: expected a Network, found ['MTAN']; did you mean MTAN?",
    "--model.balancer TorchJDWeighting --model.balancer.weighting torch.nn.Linear": "model.balancer.weighting: "
    "expected a Weighting, found torch.nn.Linear; expected one of ...",
    "--trainer.callbacks+ torch.nn.Linear": "trainer.callbacks: expected a list or a Callback or null, found torch.nn.Linear...",
    "--model.balancer Balancer": f"model.balancer: found Balancer, which is abstract; {BALANCERS}",
    "--model.network Network": f"model.network: found Network, which is abstract; {NETWORKS}",
    "--model.balancer null": f"model.balancer: expected a Balancer, found null; {BALANCERS}",
    "--model.network null": f"model.network: expected a Network, found null; {NETWORKS}",
    "--model.balancer Mgda": "model.balancer: expected a Balancer, found Mgda; did you mean MGDA?",
    "--model.balancer MGDA,PCGrad": f"model.balancer: expected a Balancer, found MGDA,PCGrad; {BALANCERS}",
    "--model.balancer.help Nope": f"model.balancer.help: Expected a dot import path string: Nope; {BALANCERS}",
    "--model.network.help torch.zeros": f'model.network.help: "torch.zeros" is not a subclass of Network; {NETWORKS}',
    "--model.balancer.help": "model.balancer.help: expected a value, found none",
    "--model.alpha -1 --model.balancer --model.beta=1": "model.balancer: expected a value, found none",
    "--model.balancer.level branch": "model.balancer.level: no such setting of Sum; name a class before that has it "
    "(AlignedMTL, CAGrad, GradNorm, GradVac, IMTLG, MGDA, NashMTL, PCGrad, TorchJDWeighting, UPGrad...",
    "--model.balancer FAMO --model.balancer.level branch": "model.balancer.level: no such setting of FAMO; "
    "expected one of lr, weight_decay; name a class before that has it (AlignedMTL, ...",
    "--model.network.lvel 3": "model.network.lvel: no such setting of HardSharing; expected one of "
    "shared_decoder, task_channels",
    "--trainer.callbacks+ Conflicts --trainer.callbacks+ Conflicts": "trainer.callbacks: expected Conflicts once, "
    "found it twice",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_word_is_named_with_its_remedy(words: str) -> None:
    with pytest.raises(UsageError) as raised:
        FitCLI(words.split())
    told, cut, _ = WRONG[words].partition("...")
    assert str(raised.value) == told or (cut and str(raised.value).startswith(told))


IMPOSSIBLE = {
    "--model.alpha 0 --model.beta 0": "alpha = 0.0, beta = 0.0",
    "--model.semantic_head null --model.region_head null": "both null",
    "--trainer.max_epochs 0": "trainer.max_epochs: expected a training of one step or more, found 0",
    "--trainer.max_steps 0": "trainer.max_steps: expected a training of one step or more, found 0",
    "--trainer.limit_train_batches 0": "trainer.limit_train_batches: expected a training of one step or more",
    "--trainer.strategy xla": "Requirement 'torch_xla",
    "--data.batch_size 0": "expected data.batch_size and data.eval_batch_size above 0, found 0 and 1",
    "--data.crop_size [60,60]": "multiples of 32 up to 8192, found 60 x 60",
    "--data.dataset CamVid --data.dataset.root /nowhere": "not found: /nowhere/train.txt",
}


@pytest.mark.parametrize("words", IMPOSSIBLE)
def test_what_a_constructor_refuses_is_all_that_is_said(words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(IMPOSSIBLE[words])) as raised:
        FitCLI(words.split())
    assert "Union" not in str(raised.value)
    assert "Namespace" not in str(raised.value)


FILES = {
    "model: {alhpa: 0.3}": "model.alhpa: no such setting; did you mean alpha? (in {path})",
    "model: {class_path: FusionModule, init_args: {alpha: abc}}": "model.alpha: expected a number, found abc "
    "(in {path})",
    "trainer: {max_epoch: 3}": "trainer.max_epoch: no such setting; did you mean trainer.max_epochs? (in {path})",
    "modell: {alpha: 1}": "modell.alpha: no such setting; did you mean model.alpha? (in {path})",
    "model: [1, 2\nfoo: bar: baz": "{path}, line 2, column 4: expected YAML: expected ',' or ']', but got ':'",
    "data: {init_args: {batch_size: null}}": "data.batch_size: expected an integer, found null (in {path})",
    "model: {init_args: {backbone: {encoder: null}}}": "model.backbone.encoder: expected a text, found null (in {path})",
    "trainer: 7": "trainer: expected settings (keys and values), found 7 (in {path})",
    "[" * 3000: "{path}: expected a configuration, found one that is nested too deeply",
    "model: 2026-99-99": "{path}: expected YAML: month must be in 1..12",
    "[1]": "{path}: expected a configuration (keys and values), found list",
}


@pytest.mark.parametrize("content", FILES)
def test_a_wrong_configuration_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(content)
    with pytest.raises(UsageError) as raised:
        FitCLI(["--config", str(path)])
    assert str(raised.value) == FILES[content].format(path=path)


def test_a_missing_loss_is_answered_with_all_there_are(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text("model: {init_args: {region_head: {class_path: BoundaryHead, init_args: {loss: null}}}}")
    with pytest.raises(UsageError) as raised:
        FitCLI(["--config", str(path)])
    start, _, rest = str(raised.value).partition("; expected one of ")
    assert start == "model.region_head.loss: expected a Loss, found null"
    names, _, place = rest.partition(" (in ")
    assert place == f"{path})"
    ours = {name for name in losses.__all__ if not inspect.isabstract(getattr(losses, name))}
    assert ours <= set(names.split(", "))  # other tests may have some of their own


PARTS = "data: {dataset: {class_path: MixtureDataset, init_args: {datasets: {A: %s, B: {class_path: BSDS500, %s}}}}}"
OURS = PARTS % ("{class_path: CamVid, init_args: {root: x}}", "init_args: {root: x}")
MIXED = {
    "A.root [1]": "A.root: expected a text or a Path, found [1]",
    "init_args.B.init_args.rot 1": "B.rot: no such setting; did you mean root?",
    "B Camvid": "B: expected a SegmentationDataset, found Camvid; did you mean CamVid?",
    "A SegmentationDataset": "A: found SegmentationDataset, which is abstract",
    "A null": "A: expected a SegmentationDataset, found null",
    "a.root x": "a: expected a SegmentationDataset, found {'root': 'x'} (Dict must include a class_path "
    "and optionally init_args); did you mean A?",
    "other.root x": "other: expected a SegmentationDataset, found {'root': 'x'} (Dict must include a "
    "class_path and optionally init_args); expected one of A, B",
}


@pytest.mark.parametrize("words", MIXED)
def test_a_part_of_a_mixture_is_named(words: str, tmp_path: Path) -> None:
    path = tmp_path / "mixture.yaml"
    path.write_text(OURS)
    before = "init_args." if words.startswith("init_args.") else ""
    setting, value = words.removeprefix("init_args.").split()
    with pytest.raises(UsageError) as raised:
        FitCLI(["--config", str(path), f"--data.dataset.{before}datasets.{setting}", value])
    assert str(raised.value).startswith(f"data.dataset.datasets.{MIXED[words]}")
    assert "mixture.yaml" not in str(raised.value)


def test_a_part_of_a_mixture_in_a_file_is_named_where_only_one_can_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "mixture.yaml"
    for first, second, found in (
        ("{class_path: CamVid, init_args: {rot: x}}", "init_args: {root: x}", "A.rot: no such setting; did"),
        (
            "{class_path: CamVid, init_args: {root: [1]}}",
            "init_args: {root: x}",
            "*.root: expected a text or a Path, found",
        ),
        (
            "{init_args: {root: x}}",
            "init_args: {root: x}",
            "expected a SegmentationDataset, found {'init_args': {'root'",
        ),
    ):
        path.write_text(PARTS % (first, second))
        with pytest.raises(UsageError) as raised:
            FitCLI(["--config", str(path)])
        assert (
            str(raised.value).replace("datasets: ", "datasets.").startswith(f"data.dataset.datasets.{found}")
        )
        assert str(raised.value).endswith(f" (in {path})")


def test_what_a_mapping_holds_and_what_it_is_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "mixture.yaml"
    path.write_text(OURS.replace("init_args: {datasets", "init_args: {weights: {A: 1, B: 1}, datasets"))
    for words, found in (
        ("weights.B abc", "weights.B: expected a number"),
        ("weights 5", "weights: expected"),
    ):
        with pytest.raises(UsageError, match=rf"^data\.dataset\.{found}"):
            FitCLI(["--config", str(path), *f"--data.dataset.{words}".split()])


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"nosuch\.yaml: expected a configuration file: No such file or directory"
    ):
        FitCLI([f"--config={tmp_path}/nosuch.yaml"])
    with pytest.raises(UsageError, match="expected a configuration file: Is a directory"):
        mapping(tmp_path)
