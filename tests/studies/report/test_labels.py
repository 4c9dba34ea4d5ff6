import itertools

from fusionseg.studies.report.charts.labels import LETTER, LINE, NAMED, SHIFTS, WIDTH, label_shifts, named

HEIGHT = 360


def points(*places: tuple[float, float]) -> list[dict[str, object]]:
    return [{"variant": f"variant {i}", "x": x, "y": y} for i, (x, y) in enumerate(places)]


def test_names_far_apart_stand_above_their_points() -> None:
    assert label_shifts(points((0, 0), (0.5, 1), (1, 0.5)), HEIGHT) == [SHIFTS[0]] * 3


def test_names_at_one_place_take_a_line_each() -> None:
    crowd = points(*[(0.2, 0.7)] * 6, (0, 0), (1, 1))
    lines = sorted(label_shifts(crowd, HEIGHT)[:6])
    assert all(after - before >= LINE for before, after in itertools.pairwise(lines))


def test_names_side_by_side_cover_none() -> None:
    step = len("variant 0") * LETTER / WIDTH / 2
    row = points(*[(i * step, 0.5) for i in range(5)], (1, 0), (1, 1))
    shifts = label_shifts(row, HEIGHT)[:5]
    assert all(one != other for one, other in itertools.pairwise(shifts))


def test_intervals_and_values_that_are_not_known_do_not_count() -> None:
    one, other = points((0, 0), (1, 1))
    assert (
        label_shifts([one | {"x_low": float("nan"), "x_high": float("inf")}, other], HEIGHT)
        == [SHIFTS[0]] * 2
    )
    assert label_shifts(points((3, 3)), HEIGHT) == [SHIFTS[0]]


def test_many_points_have_no_names() -> None:
    assert len(named(points(*[(i, i) for i in range(NAMED)]), {}, HEIGHT)) == 1
    assert named(points(*[(i, i) for i in range(NAMED + 1)]), {}, HEIGHT) == []
