"""The result of a study in words, with its uncertainty, whichever way it falls."""

from collections.abc import Sequence
from math import isfinite

from fusionseg.data.components import REGION
from fusionseg.pages.blocks import Section, Words
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.comparisons import Comparison
from fusionseg.studies.report.facts import region_kinds
from fusionseg.studies.report.figures import title
from fusionseg.studies.report.numbers import count, decimals, listed, p_value, shown
from fusionseg.studies.report.question import notices
from fusionseg.studies.report.sections.gains import gains

NAMED = 3
"""So many variants are named in a sentence, the others counted."""


def section(numbers: Analysis) -> Section:
    """What was found, by figure, and what was chosen by which images."""
    asked = numbers.asked
    found = [" ".join(_about(numbers, metric)) for metric in asked.metrics]
    found.append(_gain(numbers))
    return Section(
        "Result",
        [
            Words([paragraph for paragraph in found if paragraph], stands_out=True),
            Words([*_conditions(numbers), *map(str, asked.results.declared.get("notes") or ())]),
        ],
    )


def _about(numbers: Analysis, metric: str) -> list[str]:
    """The sentences about one figure."""
    found = [one for one in numbers.comparisons if one.metric == metric]
    if not found:
        return [_alone(numbers, metric)]
    digits = decimals(one.test.interval.spread for one in found)
    sentences = []
    for verdict in ("better", "worse"):
        group = sorted(
            (one for one in found if one.verdict == verdict), key=lambda one: -abs(one.test.difference)
        )
        if group:
            sentences.append(_shown(group, verdict, metric, numbers.asked.reference, digits))
    if opened := [one for one in found if one.verdict == "open"]:
        sentences.append(_open(opened, metric, numbers.asked.reference, digits))
    for reason in dict.fromkeys(one.test.withheld for one in found if one.verdict == "withheld"):
        names = [one.variant for one in found if one.test.withheld == reason]
        sentences.append(f"For {listed(names, NAMED)} there is {reason} ({title(metric)}).")
    return sentences


def _gain(numbers: Analysis) -> str:
    """Delta-m of the joint variants, the largest first."""
    found = gains(numbers).of
    parts = []
    for name, gain in sorted(found.items(), key=lambda pair: -pair[1].value)[:NAMED]:
        low, high = (shown(100 * end, 1, sign=True) for end in (gain.interval.low, gain.interval.high))
        ends = (
            "no interval"
            if gain.missing or len(gain.seeds) < 2
            else f"95 % interval over seeds {low} to {high}"
        )
        parts.append(f"{shown(100 * gain.value, 1, sign=True)} % for {name} ({ends})")
    return f"Over the single-task baselines, Delta-m is {listed(parts)}." if parts else ""


def _alone(numbers: Analysis, metric: str) -> str:
    """What a study says that compares nothing by a figure."""
    having = [name for name in numbers.asked.variants if numbers.mean(name, metric).count]
    means = [f"{name} {shown(numbers.mean(name, metric).mean)}" for name in having]
    return f"Nothing is compared by {title(metric)}: {listed(means, NAMED)}."


def _shown(group: Sequence[Comparison], verdict: str, metric: str, reference: str, digits: int) -> str:
    """What the tests show, the largest differences first."""
    parts = [
        f"by {shown(abs(one.test.difference), digits)} ({_interval(one, digits)}, {_p(one)})"
        for one in group[:NAMED]
    ]
    first, *others = group[:NAMED]
    also = [f"{one.variant} {part}" for one, part in zip(others, parts[1:], strict=True)]
    also += [count(len(group) - NAMED, "other variant")] if len(group) > NAMED else []
    text = f"{first.variant} is {verdict} than {reference} in {title(metric)} {parts[0]}"
    return f"{text}{'; so are ' if also else ''}{listed(also)}.{_on_images(group)}"


def _p(one: Comparison) -> str:
    text = p_value(one.t_adjusted)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _interval(one: Comparison, digits: int) -> str:
    """The interval over seeds, in the direction of the difference that is stated."""
    ends = sorted((abs(one.test.interval.low), abs(one.test.interval.high)))
    return f"95 % interval over seeds {shown(ends[0], digits)} to {shown(ends[1], digits)}"


def _on_images(group: Sequence[Comparison]) -> str:
    """Whether the images alone could have made what the seeds show."""
    intervals = [one.images for one in group if not isinstance(one.images, str) and isfinite(one.images.low)]
    within = {one.note.split(";")[0] for one in intervals if one.note.startswith("within")}
    limit = f" ({within.pop()})" if within else ""
    names = [
        one.variant
        for one in group
        if not isinstance(one.images, str) and one.images.low <= 0 <= one.images.high
    ]
    if len(intervals) < len(group):
        return ""
    if not names:
        return f" Other images of the kind would not turn that around{limit}."
    which = listed(names, NAMED)
    return f" The interval over images includes 0 for {which}{limit}: other images may turn that around."


def _open(group: Sequence[Comparison], metric: str, reference: str, digits: int) -> str:
    """What the tests do not show, and how large it could be."""
    seeds = count(len(group[0].test.seeds), "seed")
    if len(group) == 1:
        one = group[0]
        low, high = (shown(end, digits, sign=True) for end in (one.test.interval.low, one.test.interval.high))
        text = (
            f"No difference of {one.variant} from {reference} is shown in {title(metric)}: "
            f"{shown(one.test.difference, digits, sign=True)}, 95 % interval over seeds {low} to {high}, "
            f"{_p(one)}."
        )
    else:
        names = listed([one.variant for one in group], NAMED)
        low = shown(min(one.test.interval.low for one in group), digits, sign=True)
        high = shown(max(one.test.interval.high for one in group), digits, sign=True)
        text = (
            f"No difference from {reference} is shown in {title(metric)} for {names}: their 95 % intervals "
            f"over seeds lie within {low} to {high}."
        )
    reach = [one.detectable for one in group if one.detectable == one.detectable]
    if not reach:
        return text
    least = shown(min(reach), digits)
    most = shown(max(reach), digits)
    size = least if least == most else f"{least} to {most}"
    return f"{text} With {seeds}, 8 of 10 studies would show a difference of {size}; smaller ones stay open."


def _conditions(numbers: Analysis) -> list[str]:
    """What the result depends on: which images chose what, what regions are, what is missing."""
    asked = numbers.asked
    lines = list(notices(asked))
    if asked.split_score:
        lines.append(
            "The variants are trained on different tasks, so that their scores are not comparable: the "
            "figures of the tasks are compared instead."
        )
    lines.append(_choices(numbers))
    if asked.pruned:
        were = "variant was pruned and takes" if len(asked.pruned) == 1 else "variants were pruned and take"
        lines.append(f"{len(asked.pruned)} {were} part in no test and no front.")
    said = any("connected component" in str(note) for note in asked.results.declared.get("notes") or ())
    if not said and REGION in region_kinds(asked):
        lines.append(
            "Regions are connected components of the classes here: their labels hold nothing that the "
            "labels of classes do not, so that a joint label adds nothing new."
        )
    return [line[0].upper() + line[1:] for line in lines]


def _choices(numbers: Analysis) -> str:
    """Which images chose what."""
    asked = numbers.asked
    chose = []
    if asked.optimistic:
        chose.append("the epoch of each run")
    if numbers.chosen:
        chose.append(f"{numbers.chosen} among {count(len(numbers.candidates), 'variant')}")
    decoded = [name for name in asked.variants if asked.tuned_anywhere(name)]
    if decoded:
        chose.append(f"parameters of the decoders of {listed(decoded, NAMED)}")
    if not chose:
        return "Validation images chose nothing: every run counts with its last epoch."
    text = f"Validation images chose {listed(chose)}, so that the validation scores of that are optimistic"
    tested = [name for name in asked.variants if asked.tested(name)]
    if not tested:
        return f"{text}. No variant was evaluated on test images."
    were = "was" if len(tested) == 1 else "were"
    return f"{text}; test images chose nothing, and {listed(tested, NAMED)} {were} evaluated on them."
