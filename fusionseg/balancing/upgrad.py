"""UPGrad."""

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer
from fusionseg.balancing.simplex import best, faces, inverses


class UPGrad(GradientBalancer):
    """The mean of the gradients, each projected onto the cone that conflicts with none (arXiv:2406.16232, eq. 6).

    With two tasks this has the direction of PCGrad. Solved exactly, face by face, without a solver.
    """

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The mean of the solutions of: minimize w G w over w >= e_i, for each task i."""
        masks = torch.cat(
            [torch.zeros_like(active)[None], faces(active)]
        )  # the first: nothing needs to be added
        inverse, anywhere = (
            inverses(gramian, masks),
            torch.ones(len(masks), dtype=torch.bool, device=active.device),
        )
        rows = []
        for own in torch.eye(len(gramian), dtype=gramian.dtype, device=gramian.device):
            added = -inverse @ (gramian @ own)
            points = own + added
            rows.append(own + best(added, ((points @ gramian) * points).sum(1), anywhere))
        return (torch.stack(rows) * active[:, None]).sum(0) / active.sum()
