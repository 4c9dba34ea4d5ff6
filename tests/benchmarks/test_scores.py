import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks import scores
from fusionseg.metrics.correspondence import correspondence
from fusionseg.metrics.thinning import Masks


@pytest.mark.slow
def test_matching_is_timed_against_scipy(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(data / "BSDS500")
    monkeypatch.setattr(
        "sys.argv", ["scores", "--root", root, "--images", "1", "--rounds", "2", "--skip-set"]
    )
    monkeypatch.setattr(scores, "pyedgeeval_matching", lambda _: _other_matching)
    scores.main()
    printed = capsys.readouterr().out
    assert "boundary matching" in printed
    assert "pyEdgeEval" in printed


def _other_matching(first: Masks, second: Masks, relative: float) -> tuple[Masks, Masks]:
    """Our own matching with the answer of pyEdgeEval's: which pixels have partners."""
    radius = relative * float(np.hypot(*first.shape))
    number = int(correspondence(first[None], second[None], radius).recalled.item())
    return first, np.arange(second.size) < number


def test_what_cannot_be_built_is_said_and_not_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "building\nerror: command 'gcc' failed\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert scores.pyedgeeval_matching(str(tmp_path)) is None
    assert "not timed: error: command 'gcc' failed" in capsys.readouterr().out


def test_matchings_of_other_sizes_are_not_timed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        scores, "pyedgeeval_matching", lambda _: lambda first, second, __: (first, 0 * second)
    )
    blob = np.zeros((1, 12, 12), bool)
    blob[0, 3:9, 3] = True
    monkeypatch.setattr(scores, "problem", lambda *_: scores.Problem(blob, blob))
    with pytest.raises(RuntimeError, match="found others by pyEdgeEval"):
        scores.matching([(Path("a"), Path("b"))], 2)


def test_both_matchings_have_one_size() -> None:
    random = np.random.default_rng(0)
    first = random.random((40, 50)) < 0.1
    second = random.random((40, 50)) < 0.15
    assert (
        scores.scipy_matching(first, second, 2.5)
        == correspondence(first[None], second[None], 2.5).recalled.item()
    )
    assert scores.scipy_matching(first, 0 * second > 0, 2.5) == 0
