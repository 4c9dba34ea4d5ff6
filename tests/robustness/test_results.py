import json
import math
from pathlib import Path

import pytest

from fusionseg.config.errors import UserError
from fusionseg.robustness.results import Results


def test_what_is_written_is_read(tmp_path: Path) -> None:
    own = Results({"seed": 0}, "digest", 3, ("blur",), {"miou": 0.5})
    own.add("fog", 3, {"miou": 0.25})
    own.add("fog", 1, {"miou": 0.3})
    own.write(tmp_path / "corruptions.json")
    assert Results.read(tmp_path / "corruptions.json") == own
    assert list(own.corrupted["fog"]) == [1, 3]
    assert own.has("fog", 3)
    assert not own.has("fog", 2)
    assert not own.has("jpeg", 1)


def test_what_could_not_be_measured_is_null(tmp_path: Path) -> None:
    path = tmp_path / "corruptions.json"
    Results({}, "digest", 3, (), {"miou": math.nan}).write(path)
    assert json.loads(path.read_text())["clean"] == {"miou": None}
    assert math.isnan(Results.read(path).clean["miou"])


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"meaning": {}, "image_digest": 1, "images": "x"}']
)
def test_anything_else_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "corruptions.json"
    path.write_text(content)
    with pytest.raises(
        UserError, match=r"^\S+corruptions\.json: expected what `fusionseg evaluate --corruptions`"
    ):
        Results.read(path)
