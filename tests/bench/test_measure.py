import mmap
from itertools import count
from pathlib import Path

import pytest
import torch

from fusionseg import Predictor
from fusionseg.bench.images import BenchImages, Reading, bench_images
from fusionseg.bench.measure import measured
from fusionseg.bench.memory import peak, reset_peak
from fusionseg.bench.stages import STAGES


@pytest.fixture(scope="module")
def predictor(_trained: Path) -> Predictor:
    return Predictor(_trained, precision="32-true")


@pytest.fixture
def images(trained: Path, tmp_path: Path) -> BenchImages:
    return bench_images(trained, None, None, 2, tmp_path, Reading(3, None))


@pytest.mark.slow
def test_latency_and_throughput_are_those_of_the_clock(predictor: Predictor, images: BenchImages) -> None:
    readings = count()
    calls: list[None] = []
    found = measured(
        predictor, "32-true", images.paths, 4, 1, lambda: calls.append(None), lambda: float(next(readings))
    )
    assert found.latency == {"p50": 1, "p90": 1, "p99": 1, "mean": 1}
    assert (found.batch_size, found.images_per_second) == (2, 2)
    assert len(calls) == 1 + 4 + 4


def test_percentiles_are_of_the_repeats(predictor: Predictor, images: BenchImages) -> None:
    # two readings a repeat, 1, 2, 3 ... apart
    times = iter([time for i in range(1, 102) for time in (0.0, float(i))] + [0.0] * 10_000)
    answers = predictor.answers
    predictor.answers = lambda *_: []  # type: ignore[method-assign]
    try:
        found = measured(predictor, "32-true", images.paths, 101, 0, clock=lambda: next(times))
    finally:
        predictor.answers = answers  # type: ignore[method-assign]
    assert found.latency == {"p50": 51, "p90": 91, "p99": 100, "mean": 51}
    assert found.images_per_second == pytest.approx(2 / 51)


def test_the_stages_are_all_of_the_time(predictor: Predictor, images: BenchImages) -> None:
    found = measured(predictor, "32-true", images.paths, 2, 0)
    assert tuple(found.stages) == STAGES
    assert sum(found.stages.values()) == pytest.approx(found.total)
    for stage in ("read", "network", "decoding", "write", "rest"):
        assert found.stages[stage] > 0, stage


@pytest.mark.slow
def test_what_is_resized_has_its_own_stage(trained: Path, images: BenchImages) -> None:
    smaller = Predictor(trained, precision="32-true", scale=0.5)
    assert measured(smaller, "32-true", images.paths, 1, 0).stages["resize"] > 0


def test_answers_are_the_same_while_they_are_timed(
    predictor: Predictor, images: BenchImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    answers = predictor.answers

    def kept(*args: object) -> object:
        seen.append(answers(*args))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(predictor, "answers", kept)
    measured(predictor, "32-true", images.paths, 1, 1)
    first, _, timed = seen
    for one, other in zip(first, timed, strict=True):
        assert one.maps.keys() == other.maps.keys()
        assert all((one.maps[key] == other.maps[key]).all() for key in one.maps)


def resident(size: int) -> mmap.mmap:
    """Memory of the system's own, which it has back at once when this is closed, unlike that of an allocator."""
    memory = mmap.mmap(-1, size)
    memory[:: mmap.PAGESIZE] = bytes(size // mmap.PAGESIZE)
    return memory


@pytest.mark.slow
def test_the_peak_is_of_what_came_after_the_reset() -> None:
    device = torch.device("cpu")
    resident(2**30).close()
    if not reset_peak(device):
        pytest.skip("this system does not forget the peak of a process")
    before = peak(device)
    with resident(2**29):
        grown = peak(device) - before
    assert 2**28 < grown < 2**30
