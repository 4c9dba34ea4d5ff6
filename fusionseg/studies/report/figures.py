"""What a report knows about the figures that are measured: their names, and which way is better."""

from collections.abc import Iterable

NAMES = {
    "score": "score",
    "miou": "mIoU",
    "accuracy": "accuracy",
    "mean_accuracy": "mean accuracy",
    "f1": "F1",
    "covering": "covering",
    "voi": "variation of information",
    "rand_error": "Rand error",
    "boundary_f": "boundary F",
    "miou_fused": "mIoU, fused",
    "accuracy_fused": "accuracy, fused",
    "pq": "PQ",
    "sq": "SQ",
    "rq": "RQ",
    "scene_map": "scene mAP",
    "depth_delta1": "depth \N{GREEK SMALL LETTER DELTA}1",
    "depth_rmse": "depth RMSE",
    "inverse_depth_error": "error of inverse depth",
    "instance_error": "instance error",
    "disparity_abs_error": "disparity error",
    "disparity_delta1": "disparity \N{GREEK SMALL LETTER DELTA}1",
    "disparity_rmse": "disparity RMSE",
    "normals_within_11": "normals within 11\N{DEGREE SIGN}",
    "normals_mean": "normals, mean angle",
}
"""How figures are written; others by the names under which they are logged."""

HEADLINES = (
    "score",
    "miou",
    "covering",
    "pq",
    "miou_fused",
    "scene_map",
    "depth_delta1",
    "disparity_delta1",
    "normals_within_11",
)
"""The figures of the first table, as far as they are measured; all others are in the one of all figures."""


def split_of(figure: str) -> str:
    """The split that a figure such as `val/miou` is of."""
    return figure.partition("/")[0]


def bare(figure: str) -> str:
    """The name of a figure without its split."""
    return figure.rpartition("/")[2]


def title(figure: str) -> str:
    """A figure as tables and axes name it, with its split.

    >>> title("val/miou"), title("test/rq_things")
    ('val mIoU', 'test rq_things')
    """
    split = split_of(figure)
    name = NAMES.get(bare(figure), bare(figure))
    return f"{split} {name}" if split != figure else name


def headlines(figures: Iterable[str], first: Iterable[str], split: str) -> list[str]:
    """The figures of the first table: given ones, then the main ones of a split that are measured.

    Args:
        figures: All that are measured.
        first: Those that are shown in any case.
        split: The split.
    """
    known = set(figures)
    main = [f"{split}/{name}" for name in HEADLINES]
    return list(dict.fromkeys([*first, *(name for name in main if name in known)]))
