"""UPGrad: the mean of the gradients, each projected onto the dual cone."""

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer
from fusionseg.balancing.simplex import best, faces, inverses


class UPGrad(GradientBalancer):
    """Unconflicting projection of gradients (Quinton and Rey, arXiv:2406.16232, eq. 6).

    Each gradient is projected onto the dual cone, the set of directions that conflict with no gradient, and
    the results are averaged. For two tasks the direction is that of PCGrad. The projections are exact,
    without a QP solver.
    """

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The mean over tasks i of the minimizers of w G w over w >= e_i (T,)."""
        # the empty face comes first, where a gradient conflicts with none and nothing is added to it
        masks = torch.cat([torch.zeros_like(active)[None], faces(active)])
        inverse = inverses(gramian, masks)
        every = torch.ones(len(masks), dtype=torch.bool, device=active.device)
        projections = []
        for own in torch.eye(len(gramian), dtype=gramian.dtype, device=gramian.device):
            added = -inverse @ (gramian @ own)
            points = own + added
            squared_norms = ((points @ gramian) * points).sum(1)
            projections.append(own + best(added, squared_norms, every))
        return (torch.stack(projections) * active[:, None]).sum(0) / active.sum()
