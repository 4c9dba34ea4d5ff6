import statistics
from functools import partial

import pytest

from benchmarks.timing import Quartiles, Target, quartiles, ratios, show


def test_ratios_divide_by_the_baseline_of_the_same_round() -> None:
    now, calls = [0.0], {"one": 0, "three": 0}

    def taking(name: str, seconds: float) -> None:
        # the machine slows down from round to round
        calls[name] += 1
        now[0] += seconds * calls[name]

    variants = {"one": partial(taking, "one", 1.0), "three": partial(taking, "three", 3.0)}
    measured = ratios(variants, "one", 5, lambda: now[0])
    assert measured["one"] == Quartiles(1, 1, 1)
    assert measured["three"] == pytest.approx((3, 3, 3))


def test_quartiles_are_those_of_the_standard_library() -> None:
    sample = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert quartiles(sample) == (2, statistics.median(sample), 4)


def test_an_unknown_baseline_and_too_few_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one of .* as the baseline, found 'b'"):
        ratios({"a": int}, "b", 2)
    with pytest.raises(ValueError, match="at least 2 rounds, found 1"):
        ratios({"a": int}, "a", 1)


@pytest.mark.parametrize(
    ("ratio", "target", "met"),
    [(1.0, Target(1.03), "yes"), (1.04, Target(1.03), "no"), (60.0, Target(50, at_least=True), "yes")],
)
def test_a_table_tells_whether_a_target_is_met(
    ratio: float, target: Target, met: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show("title", {"ours": quartiles([ratio] * 4)}, {"ours": target})
    row = next(line for line in capsys.readouterr().out.splitlines() if "ours" in line)
    assert row.split("│")[-2].strip() == met
