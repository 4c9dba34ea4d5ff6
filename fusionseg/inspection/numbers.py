"""Shares and areas as the page shows them."""

import math

from fusionseg.studies.report.numbers import DASH

_SMALLEST = 1e-6


def percent(share: float | None) -> str:
    """A share in percent with two significant digits, or one decimal; a dash where there is none.

    >>> percent(0.317), percent(0.00274), percent(0.0), percent(1e-9), percent(1.0), percent(None)
    ('31.7 %', '0.27 %', '0 %', '< 0.0001 %', '100 %', '–')
    """
    if share is None or math.isnan(share):
        return DASH
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if share < _SMALLEST:
        return f"< {100 * _SMALLEST:.4f} %"
    decimals = max(1, 1 - math.floor(math.log10(100 * share)))
    return f"{100 * share:.{decimals}f} %"


def number(value: float | None) -> str:
    """A number with separated thousands, and one decimal where it is no integer.

    >>> number(12345), number(7.5), number(7.0), number(1234.56), number(math.nan)
    ('12,345', '7.5', '7', '1,234.6', '–')
    """
    if value is None or math.isnan(value):
        return DASH
    return f"{value:,.0f}" if round(value, 1) == round(value) else f"{value:,.1f}"


def spread(low: float, high: float) -> str:
    """The range from one number to another, or the number where both are equal.

    >>> spread(256, 1040), spread(360, 360)
    ('256 to 1,040', '360')
    """
    return number(low) if low == high else f"{number(low)} to {number(high)}"
