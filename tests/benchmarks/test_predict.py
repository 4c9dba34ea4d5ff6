from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.predict import Prediction, rates
from fusionseg.data import SyntheticScenes
from fusionseg.files.images import write_png


@pytest.fixture
def parts(trained: Path, tmp_path: Path) -> Prediction:
    scenes = SyntheticScenes("test", 3, (50, 70))
    for i in range(3):
        write_png(tmp_path / "photos" / f"{i}.png", scenes.read(i).image)
    return Prediction(trained, tmp_path / "photos", tmp_path / "out", 1)


def files(parts: Prediction, call: Callable[[], None]) -> dict[str, bytes]:
    """What a part writes, but for the record, which has times in it."""
    call()
    written = [path for path in parts.out.rglob("*.*") if path.suffix != ".jsonl"]
    return {path.relative_to(parts.out).as_posix(): path.read_bytes() for path in written}


@pytest.mark.slow
def test_what_is_timed_writes_the_same_files_with_the_network_and_with_its_outputs(parts: Prediction) -> None:
    whole = files(parts, parts.whole)
    assert len(whole) > 12
    assert files(parts, parts.in_turn) == whole
    asked: list[int] = []
    parts.predictor.model.network.register_forward_hook(lambda *_: asked.append(1))
    assert files(parts, parts.rest) == whole
    assert not asked
    parts.network()
    assert len(asked) == 3


def test_rates_are_relative_to_the_slower_part_of_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    factor = [1.0]

    def taking(seconds: float) -> Callable[[], None]:
        def call() -> None:
            factor[0] *= 1.01  # the machine slows down
            now[0] += seconds * factor[0]

        return call

    monkeypatch.setattr("benchmarks.predict.seconds", lambda call: -now[0] + (call(), now[0])[1])
    found = rates({"predict": taking(4), "network": taking(3), "rest": taking(2)}, 9)
    assert found["predict"].median == pytest.approx(3 / 4, rel=0.03)
    assert found["network"].median == pytest.approx(1, rel=0.03)
