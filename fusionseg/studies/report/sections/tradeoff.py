"""Semantic against region score: the Pareto front, its hypervolume, and how far balancers lie from it."""

from collections.abc import Mapping, Sequence

from fusionseg.pages.blocks import Cell, Chart, Column, Section, Table, Value
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.charts.front import front_chart
from fusionseg.studies.report.figures import title
from fusionseg.studies.report.numbers import listed, mean_and_spread, shown
from fusionseg.studies.report.score_parts import MAIN
from fusionseg.studies.statistics import Interval, distance_to_front, hypervolume, mean_interval, pareto_front

LEAST = 3
"""So many variants make a front worth drawing."""


def section(numbers: Analysis) -> Section | None:
    """The front, drawn and as a table; nothing where fewer than three variants have both figures."""
    asked = numbers.asked
    figures = (f"{asked.split}/{MAIN[0]}", f"{asked.split}/{MAIN[1]}")
    names = [name for name in asked.variants if not any(asked.lacking(name, figure) for figure in figures)]
    if len(names) < LEAST:
        return None
    adaptive = [name for name in names if _is_adaptive(numbers, name)]
    if len(adaptive) == len(names):  # among themselves
        adaptive = []
    fixed = [name for name in names if name not in adaptive]
    means = {name: (numbers.mean(name, figures[0]), numbers.mean(name, figures[1])) for name in names}
    values = [(means[name][0].mean, means[name][1].mean) for name in fixed]
    front = {name for name, on in zip(fixed, pareto_front(values), strict=True) if on}
    distances = {
        name: distance_to_front((means[name][0].mean, means[name][1].mean), values) for name in names
    }
    points = [
        {
            **_point(name, means[name]),
            "front": name in front,
            "distance": distances[name],
            "kind": _kind(numbers, name, adaptive),
        }
        for name in names
    ]
    shown_as = (title(figures[0]), title(figures[1]))
    hypervolumes = (hypervolume(values, (0, 0)), _volume(numbers, fixed, figures))
    chart = Chart("front", _caption(shown_as, len(front), *hypervolumes), front_chart(points, shown_as))
    notes = _chosen(numbers, names)
    return Section("Trade-off of the tasks", [chart, _table(points, shown_as, adaptive, notes)])


def _caption(titles: tuple[str, str], number: int, whole: float, of_seeds: Interval) -> str:
    """What the chart shows, with the hypervolume of the front of the means and those of single seeds."""
    return (
        f"{titles[0]} against {titles[1]}: means with 95 % intervals over seeds. The dashed steps are the "
        f"front of the {number} variants that no other dominates, of hypervolume {shown(whole)} above (0, "
        f"0); those of single seeds have {mean_and_spread(of_seeds.mean, of_seeds.spread)} (mean and "
        "standard deviation)."
    )


def _is_adaptive(numbers: Analysis, variant: str) -> bool:
    """Whether a variant weighs its tasks by a balancer other than the plain sum."""
    runs = numbers.asked.results.of(variant).values()
    settings = next((run.settings for run in runs), {})
    for key in ("model.balancer", "model.balancer.class_path"):
        value = settings.get(key)
        name = value.get("class_path") if isinstance(value, dict) else value
        if name is not None:
            return str(name).rpartition(".")[2] != "Sum"
    return False


def _kind(numbers: Analysis, variant: str, adaptive: Sequence[str]) -> str:
    if variant == numbers.chosen:
        return "chosen"
    return "adaptive balancer" if variant in adaptive else "variant"


def _point(name: str, means: tuple[Interval, Interval]) -> dict[str, object]:
    x, y = means
    ends = {"x_low": x.low, "x_high": x.high, "y_low": y.low, "y_high": y.high}
    return {"variant": name, "x": x.mean, "y": y.mean, **ends}


def _volume(numbers: Analysis, names: Sequence[str], figures: tuple[str, str]) -> Interval:
    """The hypervolume of the front of each seed."""
    results = numbers.asked.results
    first, second = ({name: results.figures(name, figure) for name in names} for figure in figures)
    volumes = [
        hypervolume([(first[name][seed], second[name][seed]) for name in names], (0, 0))
        for seed in numbers.asked.seeds
        if all(seed in figure[name] for figure in (first, second) for name in names)
    ]
    return mean_interval(volumes)


def _chosen(numbers: Analysis, names: Sequence[str]) -> list[str]:
    """A note on the point that validation chose."""
    if numbers.chosen not in names:
        return []
    return [
        f"{numbers.chosen} was chosen among {len(numbers.candidates)} variants by "
        f"{title(numbers.asked.metric)} on these images: its place is optimistic."
    ]


def _table(
    points: Sequence[dict[str, object]],
    titles: tuple[str, str],
    adaptive: Sequence[str],
    further: Sequence[str],
) -> Table:
    several = len({point["kind"] for point in points}) > 1
    columns = [
        Column("variant"),
        *(Column(name, True) for name in titles),
        Column("on the front"),
        Column("distance", True, "how far it would have to move to be dominated by none"),
        *([Column("kind")] if several else []),
    ]
    rows = [_row(point, several) for point in points]
    records: list[dict[str, Value]] = [
        {
            "variant": str(point["variant"]),
            titles[0]: float(str(point["x"])),
            titles[1]: float(str(point["y"])),
            "front": bool(point["front"]),
            "distance": float(str(point["distance"])),
            "kind": str(point["kind"]),
        }
        for point in points
    ]
    notes = list(further)
    if adaptive:
        notes.append(
            f"The front is that of fixed weights; {listed(adaptive, 4)} weigh the tasks while they train, "
            "and the distance says how far they stay behind it (0: on the front or beyond)."
        )
    return Table("front-table", "Variants and the front.", columns, rows, records, notes)


def _row(point: Mapping[str, object], kinds: bool) -> list[Cell]:
    x, y, distance = (float(str(point[key])) for key in ("x", "y", "distance"))
    cells = [Cell(str(point["variant"])), Cell(shown(x), x), Cell(shown(y), y)]
    cells += [Cell("yes" if point["front"] else "no"), Cell(shown(distance, 4), distance)]
    return [*cells, Cell(str(point["kind"]))] if kinds else cells
