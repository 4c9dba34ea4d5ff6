"""Numbers as a report shows them."""

import math
from collections.abc import Iterable

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"


def decimals(spreads: Iterable[float], least: int = 3, most: int = 5) -> int:
    """How many decimals show the first digit of the typical spread, and the second after a 1.

    >>> decimals([0.006, 0.011]), decimals([0.0014]), decimals([0.0003]), decimals([])
    (3, 4, 4, 3)

    Args:
        spreads: Standard deviations; those that are 0 or NaN do not count.
        least: So many decimals at least.
        most: So many decimals at most.
    """
    known = sorted(spread for spread in spreads if spread > 0 and math.isfinite(spread))
    if not known:
        return least
    typical = known[len(known) // 2]
    return min(most, max(least, math.ceil(math.log10(2 / typical))))


def shown(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """A number with so many decimals; a dash where there is none.

    >>> shown(0.5789), shown(-0.5789, 2), shown(0.01, sign=True), shown(math.nan)
    ('0.579', '−0.58', '+0.010', '–')

    Args:
        value: The number.
        digits: Its decimals.
        sign: Whether a plus is shown.
    """
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if not float(text):
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def mean_and_spread(mean: float, spread: float, digits: int = 3) -> str:
    """A mean with its standard deviation, which is left out where there is none.

    >>> mean_and_spread(0.5789, 0.0041)
    '0.579 ± 0.004'
    """
    text = shown(mean, digits)
    return f"{text} {PLUS_MINUS} {shown(spread, digits)}" if math.isfinite(spread) else text


def interval(low: float, high: float, digits: int = 3, sign: bool = False) -> str:
    """An interval; nothing where it has no ends.

    >>> interval(0.57, 0.59)
    '[0.570, 0.590]'
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{shown(low, digits, sign)}, {shown(high, digits, sign)}]"


def p_value(value: float | None) -> str:
    """A p-value with three decimals, or four where three would hide on which side of 0.05 it is.

    >>> p_value(0.0312), p_value(0.0504), p_value(0.00002), p_value(None)
    ('0.031', '0.0504', '< 0.001', '–')
    """
    if value is None or not math.isfinite(value):
        return DASH
    if value < 0.001:
        return "< 0.001"
    return f"{value:.4f}" if 0.0495 <= value < 0.0505 else f"{value:.3f}"


def duration(seconds: float | None) -> str:
    """A time in the two units that matter.

    >>> duration(42.3), duration(372), duration(7500), duration(None)
    ('42 s', '6 min 12 s', '2 h 5 min', '–')
    """
    if seconds is None or not math.isfinite(seconds):
        return DASH
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def listed(names: Iterable[object], most: int = 0) -> str:
    """Names in a sentence.

    >>> listed(["a"]), listed("ab"), listed("abc"), listed("abcde", most=3)
    ('a', 'a and b', 'a, b and c', 'a, b, c and 2 others')

    Args:
        names: The names.
        most: So many are named, the others counted; all where it is 0.
    """
    texts = [str(name) for name in names]
    if most and len(texts) > most + 1:
        return f"{', '.join(texts[:most])} and {len(texts) - most} others"
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def count(number: int, noun: str, plural: str = "") -> str:
    """A number of things.

    >>> count(1, "seed"), count(3, "seed"), count(2, "study", "studies")
    ('1 seed', '3 seeds', '2 studies')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
