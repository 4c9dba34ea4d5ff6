from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.corruptions import CORRUPTIONS
from fusionseg.robustness.comparison import Comparison
from fusionseg.robustness.picture import write_picture
from fusionseg.robustness.results import Results

CHOSEN = [c for c in CORRUPTIONS if c.family in ("noise", "weather", "geometric")]


def results(level: float, *figures: str) -> Results:
    found = Results({}, "same", 7, ("geometric",), dict.fromkeys(figures, level))
    for corruption in CHOSEN:
        for severity in (1, 2, 5):
            found.add(corruption.name, severity, dict.fromkeys(figures, level / (severity + 1)))
    return found


def drawn(path: Path, **runs: Results) -> np.ndarray:
    write_picture(Comparison(runs, CHOSEN, (1, 2, 5)), path)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.mark.slow
def test_one_run_has_a_panel_for_each_figure(tmp_path: Path) -> None:
    one = drawn(tmp_path / "one.png", joint=results(0.8, "miou"))
    three = drawn(tmp_path / "three.png", joint=results(0.8, "miou", "covering", "pq"))
    assert three.shape[1] > 2 * one.shape[1]
    assert three.shape[0] == one.shape[0]


@pytest.mark.slow
def test_several_runs_share_panels_of_each_figure_and_family(tmp_path: Path) -> None:
    both = drawn(tmp_path / "both.png", joint=results(0.8, "miou", "covering"), single=results(0.4, "miou"))
    other = drawn(tmp_path / "other.png", joint=results(0.8, "miou", "covering"), single=results(0.2, "miou"))
    assert both.shape == other.shape
    differs = np.abs(both - other).max(2) > 50
    # the figure that the second run does not have looks the same
    half = both.shape[0] // 2
    assert differs[:half].sum() > 200
    assert differs[half + 40 :].sum() == 0
