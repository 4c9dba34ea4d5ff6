"""Which way a figure is better."""

ERRORS = (
    *("loss", "voi", "rand_error", "depth_abs_error", "depth_rel_error", "depth_rmse"),
    *("normals_mean", "normals_median"),
)
"""How the names of figures begin of which less is better."""


def lower_is_better(figure: str) -> bool:
    """Whether less of a figure is better, as of losses, errors and the variation of information.

    >>> lower_is_better("val/voi_split"), lower_is_better("miou")
    (True, False)
    """
    return figure.rpartition("/")[2].startswith(ERRORS)
