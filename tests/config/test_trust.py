import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.callbacks.finetuning import multiplicative
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from fusionseg.config.errors import UsageError
from fusionseg.config.trust import check_named, imported, untrusted
from fusionseg.heads import Head
from fusionseg.networks import Backbone

OWN = """
from fusionseg.heads import SemanticHead

class Own(SemanticHead):
    pass

def narrow(channels: int, num_classes: int) -> SemanticHead:
    return SemanticHead(channels, num_classes)
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file of parts that is not imported yet, in the working directory."""
    (tmp_path / "own_parts.py").write_text(OWN)
    (tmp_path / "part.yaml").write_text("class_path: own_parts.Own\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_parts", None)


def part(path: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": path, "init_args": arguments}


WANTED: dict[str, tuple[object, object]] = {
    "a class of the base": (Callable[[int, int], Head], part("fusionseg.heads.SemanticHead", dropout=0.5)),
    "a list of them": (
        list[Callback] | Callback | None,
        [part("lightning.pytorch.callbacks.EarlyStopping", monitor="val/loss")],
    ),
    "a class within a class": (
        Callable[[int, int], Head],
        part(
            "fusionseg.heads.SemanticHead",
            losses=[part("fusionseg.losses.MeanLoss", loss=part("torch.nn.L1Loss"))],
        ),
    ),
    "entries of a mapping": (dict[str, Callable[[int], Head]], {"a": part("fusionseg.heads.DepthHead")}),
    "settings of a dataclass": (Backbone, {"encoder": "resnet18", "options": {"decoder_channels": [8, 8]}}),
    "a text with a dot": (str | Head, "version.1"),
    "a path": (Path | str | None, "runs/os.system"),
    "nothing": (Head | None, None),
    "the default itself": (
        Callback,
        part("lightning.pytorch.callbacks.BackboneFinetuning", lambda_func=multiplicative),
    ),
}


@pytest.mark.parametrize("case", WANTED)
def test_what_is_wanted_passes(case: str) -> None:
    hint, value = WANTED[case]
    with untrusted():
        check_named(hint, value)


UNWANTED: dict[str, tuple[object, object, str]] = {
    "a package of one's own": (
        Head,
        part("own_parts.Own"),
        "own_parts.Own is of a package that is not trusted.*--trust own_parts",
    ),
    "its name alone": (Callable[[int], Head], "own_parts.Own", "--trust own_parts"),
    "a function of Python": (Head, part("os.system", command="true"), "part of a run, found os.system"),
    "Python behind a package": (Head, part("torch.os.system"), "found posix.system|torch.os"),
    "a function": (
        Callable[[], nn.Module],
        part("torchvision.models.get_model", name="resnet18"),
        "expected Module, found torchv",
    ),
    "a function object": (
        Callable[[], nn.Module],
        nn.functional.relu,
        "expected Module, found torch.nn.functional.relu",
    ),
    "another base": (
        Head,
        part("torch.nn.Linear", in_features=1, out_features=1),
        "expected Head, found torch.nn.Linear",
    ),
    "a class where none is wanted": (
        Any,
        part("torch.nn.Linear"),
        "expected a plain value, found torch.nn.Linear",
    ),
    "a class in options": (
        Backbone,
        {"options": {"x": part("own_parts.Own")}},
        "options.x: own_parts.Own is of a",
    ),
    "within a class": (
        Callable[[int, int], Head],
        part(
            "fusionseg.heads.SemanticHead",
            losses=[part("fusionseg.losses.MeanLoss", loss=part("own_parts.Own"))],
        ),
        "losses.loss: own_parts.Own is of a",
    ),
    "a callback's function": (
        Callback,
        part("lightning.pytorch.callbacks.LambdaCallback", on_fit_start="torch.hub.load"),
        "on_fit_start: expected a plain value, found torch.hub.load",
    ),
    "a schedule's function": (
        Callable[[Any], LRScheduler],
        part("torch.optim.lr_scheduler.LambdaLR", lr_lambda="torch.hub.load"),
        "lr_lambda: expected a plain value, found torch.hub.load",
    ),
    "no such class": (Head, part("torch.nn.NoSuch"), "expected a class, found torch.nn.NoSuch"),
    "a module": (Head, part("torch.nn"), "found torch.nn"),
    "positional": (
        Callback,
        {"class_path": "fusionseg.callbacks.Conflicts", "dict_kwargs": {"x": part("own_parts.Own")}},
        "x: own",
    ),
}


@pytest.mark.parametrize("case", UNWANTED)
def test_all_else_is_refused_and_not_imported(case: str) -> None:
    hint, value, message = UNWANTED[case]
    with untrusted(), pytest.raises(UsageError, match=message):
        check_named(hint, value)
    assert "own_parts" not in sys.modules


def test_a_package_that_the_user_trusts_may_have_functions_too() -> None:
    hint = Callable[[int, int], Head]
    for trust in (["own_parts"], ["other, own_parts"], ["other", "own_parts"], ["own_parts.heads"]):
        with untrusted(trust):
            check_named(hint, part("own_parts.Own"))
            check_named(hint, part("own_parts.narrow"))
            with pytest.raises(UsageError, match=r"expected Head, found torch\.hub\.load"):
                check_named(hint, part("torch.hub.load"))


@pytest.mark.parametrize("value", ["own_parts.Own", "{class_path: own_parts.Own}", "part.yaml"])
def test_a_parser_imports_nothing_that_is_not_trusted(value: str) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--head", type=Callable[[int, int], Head], sub_configs=True)
    with untrusted(), pytest.raises(Exception, match=r"own_parts\.Own' is not allowed|loop detected"):
        parser.parse_args(["--head", value])
    assert "own_parts" not in sys.modules


def test_nothing_is_instantiated_where_anything_may_stand() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=Any)
    given = part("torch.nn.Linear", in_features=1, out_features=1)
    with untrusted():
        found = parser.instantiate(parser.parse_object({"value": given})).value
    assert not isinstance(found, nn.Module)


def test_a_users_own_command_line_is_free_before_and_after() -> None:
    for _ in range(2):
        check_named(Head, part("os.system"))
        assert imported("own_parts.Own").__name__ == "Own"
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--head", type=Callable[[int, int], Head])
        assert parser.parse_object({"head": "own_parts.Own"}).head.class_path == "own_parts.Own"
        with pytest.raises(KeyError), untrusted():
            raise KeyError
