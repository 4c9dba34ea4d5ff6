"""Which way a figure is better."""

ERRORS = (
    *("loss", "voi", "rand_error", "depth_abs_error", "depth_rel_error", "depth_rmse"),
    *("disparity_abs_error", "disparity_rel_error", "disparity_rmse", "normals_mean", "normals_median"),
    *("instance_error", "inverse_depth_error"),
    *("depth_log_rmse", "normals_rmse"),
)
"""How the names of figures begin of which less is better."""


SCORES = (
    *("score", "miou", "iou", "accuracy", "mean_accuracy", "f1", "precision", "recall", "fused", "covering"),
    *("boundary_f", "boundary_precision", "boundary_recall", "pq", "sq", "rq", "scene_map", "depth_delta"),
    *("scene_f1", "scene_accuracy"),
    *("disparity_delta", "normals_within"),
)
"""How the names of figures begin of which more is better; those of own metrics may be of neither."""


def higher_is_better(figure: str) -> bool:
    """Whether more of a figure is known to be better.

    >>> higher_is_better("val/miou_fused"), higher_is_better("val/voi"), higher_is_better("val/own")
    (True, False, False)
    """
    return figure.rpartition("/")[2].startswith(SCORES)


def lower_is_better(figure: str) -> bool:
    """Whether less of a figure is better, as of losses, errors and the variation of information.

    >>> lower_is_better("val/voi_split"), lower_is_better("miou")
    (True, False)
    """
    return figure.rpartition("/")[2].startswith(ERRORS)
