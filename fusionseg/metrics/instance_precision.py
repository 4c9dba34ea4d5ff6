"""COCO's average precision of instances of one class, as a torchmetrics metric."""

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from fusionseg.metrics.contingency import Floats
from fusionseg.metrics.detections import Detections, detections, precision_figures
from fusionseg.metrics.exact import ExactMetric, as_array
from fusionseg.metrics.instances import instances
from fusionseg.metrics.mask_boundaries import SHARE, boundary_distance
from fusionseg.sample import IntMap


class InstancePrecision(ExactMetric):
    """Average precision of instances by confidence, of masks and with Boundary IoU.

    Predictions of all images are ranked, so that nothing can be added up: each leaves three numbers. The
    figures are those of `precision_figures`.

    Args:
        max_detections: How many of an image's most confident predictions count, 100 for COCO; all for None.
        boundary_share: Width of the bands of Boundary IoU as a share of the image's diagonal, in (0, 1).

    Raises:
        ValueError: If an argument is out of its range.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import InstancePrecision
        >>> metric = InstancePrecision()
        >>> truth, prediction = np.array([[0, 1, 1, 1, 2, 2]]), np.array([[5, 6, 6, 6, 0, 0]])
        >>> metric.update(prediction, truth, confidences=np.array([0.3, 0.8]))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'coco_ap': 0.505, 'coco_ap50': 0.505, 'coco_ap75': 0.505, 'boundary_ap': 0.505}
    """

    higher_is_better = True
    found: list[Tensor]
    truths: Tensor

    def __init__(self, max_detections: int | None = None, boundary_share: float = SHARE) -> None:
        super().__init__()
        if max_detections is not None and max_detections < 1:
            raise ValueError(f"expected max_detections of at least 1, found {max_detections}")
        boundary_distance((1, 1), boundary_share)
        self.max_detections = max_detections
        self.boundary_share = boundary_share
        self.add_state("found", [], dist_reduce_fx="cat")
        self.add_state("truths", torch.tensor(0), dist_reduce_fx="sum")

    @property
    def dtype(self) -> torch.dtype:
        """That of the states, also in a process without images."""
        return torch.float64

    def update(
        self, prediction: IntMap | Tensor, truth: IntMap | Tensor, confidences: Floats | Tensor
    ) -> None:
        """Measures one image; tensors may be on any device.

        Args:
            prediction: Ids of instances (H, W), not negative; 0 is background.
            truth: Ids of instances (H, W), not negative; 0 is background.
            confidences: Of each predicted instance (M,), finite, in the order of their ids.

        Raises:
            ValueError: If there are not as many confidences as predicted instances, or one is not finite.
        """
        true, predicted, scores = map(as_array, (truth, prediction, confidences))
        found = instances(true, predicted, boundary_distance(true.shape, self.boundary_share))
        rows = np.stack(detections(found, scores, self.max_detections), 1)
        self.found.append(torch.from_numpy(rows.ravel()).to(self.device))
        self.truths = self.truths + found.truths.size

    def compute(self) -> dict[str, Tensor]:
        """`precision_figures` of the images of all processes, float64 tensors without dimensions."""
        rows = dim_zero_cat(self.found).view(-1, 3).cpu().numpy() if len(self.found) else np.zeros((0, 3))
        found = Detections(*rows.T)
        figures = precision_figures(found, int(self.truths))
        values = torch.tensor(list(figures.values()), dtype=torch.float64, device=self.device)
        return dict(zip(figures, values.unbind(), strict=True))
