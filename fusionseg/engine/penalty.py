"""R of L + R: what is added to the weighted losses of the tasks, and weighed by no balancer."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.optim import Optimizer

from fusionseg.config.errors import UsageError
from fusionseg.files.state_dicts import Checkpoint
from fusionseg.networks import Network
from fusionseg.networks.pretrained import pretrained_parameters
from fusionseg.regularization import L1, Regularizer


class Penalty:
    """The sum of regularizers of a network's weights.

    Not a module: it refers to the network, which the LightningModule owns.

    Args:
        network: The network.
        l1: Weight of the sum of absolute values.
        regularizer: Recipe of a further regularizer.

    Raises:
        ValueError: If a weight is negative or not finite.
    """

    def __init__(
        self, network: Network, l1: float = 0.0, regularizer: Callable[[], Regularizer] | None = None
    ) -> None:
        self.network = network
        self.regularizers: list[Regularizer] = [L1(l1)] if l1 else []
        if regularizer is not None:
            self.regularizers.append(regularizer())
        self.notice = ""
        """A line where the optimizer decays weights that a regularizer keeps elsewhere; else empty."""
        self._saved: list[dict[str, Tensor]] | None = None

    def begin(self, goes_on: bool, optimizers: Sequence[Optimizer] = ()) -> None:
        """Has the regularizers begin, with the weights on their device.

        Args:
            goes_on: Whether the training does, from what a checkpoint says of its begin.
            optimizers: Those of the training.

        Raises:
            UsageError: If one finds no start, or the checkpoint is of other regularizers.
        """
        saved = self._saved if goes_on and self._saved is not None else [{} for _ in self.regularizers]
        if len(saved) != len(self.regularizers):
            raise UsageError(
                f"{len(saved)} in the checkpoint, {len(self.regularizers)} here: a run goes on as it began",
                "model.regularizer",
            )
        names = pretrained_parameters(self.network)
        for regularizer, state in zip(self.regularizers, saved, strict=True):
            regularizer.begin(self.network, names, state)
            decays = [one for one in optimizers if one.param_groups[-1].get("weight_decay")]
            if regularizer.replaces_decay and decays:
                self.notice = (
                    f"{type(regularizer).__name__} takes the place of weight decay, but "
                    f"{type(decays[0]).__name__} also draws weights to 0: set model.optimizer.weight_decay "
                    "to 0"
                )

    def state(self) -> list[dict[str, Tensor]]:
        """What the regularizers need to know of their begin, for a checkpoint."""
        return [regularizer.state() for regularizer in self.regularizers]

    def resume(self, checkpoint: Checkpoint) -> None:
        """Remembers what a checkpoint says of the regularizers' begin; older ones say nothing."""
        self._saved = checkpoint.get("regularizers")

    def __call__(self, distance: Tensor | None = None) -> Tensor | None:
        """The penalty, a scalar with a gradient; None without a regularizer and without a distance.

        Args:
            distance: A further penalty.
        """
        found = [regularizer(self.network) for regularizer in self.regularizers]
        if distance is not None:
            found.append(distance)
        return sum(found[1:], found[0]) if found else None
