from pathlib import Path

import pytest

from fusionseg.commands.fit import FitCLI
from fusionseg.config.errors import UsageError

HEAD = """
from fusionseg.heads import SemanticHead
class Own(SemanticHead):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        {}
"""


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (
            "--model.semantic_head {}.Own",
            "def f(:",
            r"found \w+\.Own \(invalid syntax \(\w+\.py, line 1\)\)$",
        ),
        ("--model.balancer {}.Own", "def f(:", r"^model\.balancer: .*found \w+\.Own \(invalid syntax"),
        ("--data.dataset {}.Own", "raise RuntimeError('broken')", r"^data\.dataset: .*\w+\.Own \(broken\)$"),
        ("--trainer.callbacks {}.Own", "1 / 0", r"^trainer\.callbacks: .*\w+\.Own \(division by zero\)$"),
    ],
)
def test_a_module_that_cannot_be_imported_says_why(
    words: str, code: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"own_{abs(hash(words + code))}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=reason):
        FitCLI(words.format(name).split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "kind"), [("assert num_classes > 99", AssertionError), ("self.nothing", AttributeError)]
)
def test_a_bug_in_the_constructor_of_a_part_keeps_its_traceback(
    line: str, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"own_{kind.__name__.lower()}"
    (tmp_path / f"{name}.py").write_text(HEAD.format(line))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(kind):
        FitCLI(["--model.semantic_head", f"{name}.Own", "--out", str(tmp_path / "run")])


@pytest.mark.parametrize(
    ("words", "takes"),
    [
        ("--model.backbone.decoder.decoder_channels [8,4]", "a text"),
        ("--trainer.max_epochs.most 3", "an integer or null"),
    ],
)
def test_a_setting_below_a_plain_value_is_said_to_be_none(words: str, takes: str) -> None:
    with pytest.raises(UsageError, match=f"no such setting, as the key before it takes {takes}") as caught:
        FitCLI(words.split())
    assert f"--{caught.value.key}" == words.split()[0]
