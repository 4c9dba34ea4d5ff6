import re
from pathlib import Path

import pytest

from fusionseg.fit import FitCLI
from fusionseg.usage import UsageError, Words, mapping, nearest

WRONG = {
    "--model.alhpa 0.3": "model.alhpa: no such setting; did you mean alpha?",
    "--alpha 0.3": "alpha: no such setting; did you mean model.alpha?",
    "--trainer.max_epoch 3": "trainer.max_epoch: no such setting; did you mean trainer.max_epochs?",
    "--trainer.max_epochs three": "trainer.max_epochs: expected an integer or null, found 'three'",
    "--model.alpha abc": "model.alpha: expected a number, found 'abc'",
    "--model.region_head BoundryHead": "model.region_head: expected a class, found 'BoundryHead'; "
    "did you mean BoundaryHead?",
    "--model.region_head Dice": "model.region_head: expected a class, found 'Dice'; "
    "expected one of BoundaryHead, CenterOffsetHead, SceneHead, SemanticHead",
    "--model.region_head BoundaryHead --model.region_head.widht 4": "model.region_head.widht: no such setting; "
    "did you mean width?",
    "--model.region_head no.such.Head": "model.region_head: cannot import no.such.Head: No module named 'no'",
    "--model.optimizer SGD --model.optimizer.lr abc": "model.optimizer.lr: expected a number, found 'abc'",
    "--model nosuch.module.Class": "model: cannot import nosuch.module.Class: No module named 'nosuch'",
    "--data.dataset CamVid": "data.dataset.root: missing: it has no default and must be set",
    "--data.cache blah": "data.cache: expected one of none, memory, disk, found 'blah'",
    "--data.crop_size 64": "data.crop_size: expected a list, found '64'",
    "--wandb blah": "wandb: expected one of online, offline, disabled or null, found 'blah'",
    "--trainer.callbacks EarlyStoping": "trainer.callbacks: expected a class, found 'EarlyStoping'; "
    "did you mean EarlyStopping?",
    "--trainer.callbacks+=EarlyStopping": "trainer.callbacks.monitor: missing: it has no default and must be set",
    "--trainer.callbacks nosuch.Callback": "trainer.callbacks: cannot import nosuch.Callback: No module named 'nosuch'",
    "stray": "not understood: stray",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_word_is_named_with_its_remedy(words: str) -> None:
    with pytest.raises(UsageError) as raised:
        FitCLI(words.split())
    assert str(raised.value) == WRONG[words]


IMPOSSIBLE = {
    "--model.alpha 0 --model.beta 0": "alpha = 0.0, beta = 0.0",
    "--model.semantic_head null --model.region_head null": "both null",
    "--model.backbone.decoder Unett": "unknown decoder 'Unett'; expected one of: Unet",
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
    "model: {class_path: FusionModule, init_args: {alpha: abc}}": "model.alpha: expected a number, found 'abc' "
    "(in {path})",
    "trainer: {max_epoch: 3}": "trainer.max_epoch: no such setting; did you mean trainer.max_epochs? (in {path})",
    "modell: {alpha: 1}": "modell.alpha: no such setting; did you mean model.alpha? (in {path})",
    "model: [1, 2\nfoo: bar: baz": "{path}, line 2, column 4: expected YAML: expected ',' or ']', but got ':'",
    "data: {init_args: {batch_size: null}}": "data.batch_size: expected an integer, found null (in {path})",
    "model: {init_args: {region_head: {class_path: BoundaryHead, init_args: {loss: null}}}}": "model.region_head.loss: "
    "expected Callable, found null (in {path})",
    "model: {init_args: {backbone: {encoder: null}}}": "model.backbone.encoder: expected str, found null (in {path})",
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


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nosuch\.yaml: expected a configuration file: No such file or directory"):
        FitCLI([f"--config={tmp_path}/nosuch.yaml"])
    with pytest.raises(UsageError, match="expected a configuration file: Is a directory"):
        mapping(tmp_path)


def test_the_words_of_a_command_are_never_completed() -> None:
    parser = Words("command", "what it does")
    parser.add_argument("--split")
    with pytest.raises(UsageError, match=r"unrecognized arguments: --spl test \(see command --help\)"):
        parser.parse_args(["--spl", "test"])


def test_the_nearest_is_the_same_leaf_or_the_closest_spelling() -> None:
    assert nearest("alpha", ["model.alpha", "model.beta"]) == "; did you mean model.alpha?"
    assert nearest("model.apha", ["model.alpha", "model.beta"]) == "; did you mean model.alpha?"
    assert nearest("zzz", ["a", "b"]) == "; expected one of a, b"
    assert nearest("zzz", map(str, range(100))) == ""
