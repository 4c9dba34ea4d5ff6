import re

import pytest

from benchmarks import exporting
from benchmarks.exporting import PAGE, Row, parts, written

TABLE = {
    f"{part} {settings.strip()}".strip(): Row(part, first == "yes", second == "yes", difference)
    for part, settings, first, second, difference in exporting.ROW.findall(PAGE.read_text(encoding="utf-8"))
}
"""The rows of the documentation by the names of the parts."""


def test_the_documentation_says_of_every_network_decoder_and_head_whether_it_can_be_exported() -> None:
    assert list(TABLE) == list(parts())


def test_what_cannot_be_exported_is_explained_below_the_table() -> None:
    below = PAGE.read_text(encoding="utf-8").split("is refused in one line:\n\n")[1].split("\n\n")[0]
    explained = set(re.findall(r"`(\w+)`", below))
    assert {name for name, row in TABLE.items() if not (row.torch and row.onnx)} <= explained
    assert not {name for name, row in TABLE.items() if row.torch and row.onnx} & explained


def test_what_can_be_exported_is_as_close_as_it_has_to_be() -> None:
    close = [float(row.difference) for row in TABLE.values() if row.onnx]
    assert len(close) > 20
    assert max(close) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CrossTaskAttention", "PADNet"])
def test_the_documentation_says_what_is_found(name: str) -> None:
    result = exporting.attempt("torch", parts()[name])
    assert isinstance(result, float) == TABLE[name].torch
    if isinstance(result, str):
        assert result == TABLE[name].difference


def test_a_table_takes_the_place_of_the_one_before() -> None:
    rows = [Row("MTAN", True, False, "ONNX cannot"), Row("HardSharing with one", True, True, "3e-07")]
    page = f"# Title\n\n{exporting.HEADER}| `Old` | yes | yes | 1e-06 |\n\nBelow.\n"
    once = written(page, rows)
    lines = "| `MTAN` | yes | no | ONNX cannot |\n| `HardSharing` with one | yes | yes | 3e-07 |\n"
    assert once == f"# Title\n\n{exporting.HEADER}{lines}\nBelow.\n"
    assert written(once, rows) == once
