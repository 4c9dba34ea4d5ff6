from pathlib import Path

import numpy as np
import pytest

from benchmarks import scores
from fusionseg.metrics.correspondence import correspondence


@pytest.mark.slow
def test_matching_is_timed_against_scipy(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(data / "BSDS500")
    monkeypatch.setattr(
        "sys.argv", ["scores", "--root", root, "--images", "1", "--rounds", "2", "--skip-set"]
    )
    scores.main()
    assert "boundary matching" in capsys.readouterr().out


def test_both_matchings_have_one_size() -> None:
    random = np.random.default_rng(0)
    first = random.random((40, 50)) < 0.1
    second = random.random((40, 50)) < 0.15
    assert (
        scores.scipy_matching(first, second, 2.5)
        == correspondence(first[None], second[None], 2.5).recalled.item()
    )
    assert scores.scipy_matching(first, 0 * second > 0, 2.5) == 0
