"""How the encoder learns beside the rest: its rates, the epochs without it, and its batch statistics."""

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from torch.optim import Optimizer

from fusionseg.config.errors import UsageError
from fusionseg.engine.batch_statistics import reestimate
from fusionseg.engine.optimization import allows_fused, configured, rates
from fusionseg.networks import Network
from fusionseg.networks.encoder import Encoder

BatchNorm: TypeAlias = Literal["train", "frozen", "reestimated"]


class FineTuning:
    """The rates of an encoder's stages, the epochs in which it is frozen, and its batch statistics.

    Not a module: it refers to the network, which the LightningModule owns.

    Args:
        network: The network.
        encoder_lr: The encoder's learning rate, times the optimizer's.
        layer_decay: Factor of the rate from one stage of the encoder to the one before, in (0, 1].
        frozen_epochs: For so many first epochs the encoder does not change.
        batch_norm: Which statistics the encoder's batch norms take in training.

    Raises:
        ValueError: If a number is out of its range, or there is nothing that it would change.
    """

    def __init__(
        self,
        network: Network,
        encoder_lr: float = 1.0,
        layer_decay: float = 1.0,
        frozen_epochs: int = 0,
        batch_norm: BatchNorm = "train",
    ) -> None:
        if not 0 <= encoder_lr < math.inf:
            raise ValueError(f"expected encoder_lr of 0 or more, found {encoder_lr}")
        if not 0 < layer_decay <= 1:
            raise ValueError(f"expected layer_decay in (0, 1], found {layer_decay}")
        if layer_decay < 1 and not isinstance(network.encoder, Encoder):
            raise UsageError(
                f"expected a network with an Encoder, found {type(network.encoder).__name__}: leave it out",
                "model.layer_decay",
            )
        if batch_norm != "train" and not network.encoder_norms():
            raise UsageError(
                f"found {batch_norm}, but the encoder has no batch norms: leave it out", "model.batch_norm"
            )
        self.network = network
        self.encoder_lr = encoder_lr
        self.layer_decay = layer_decay
        self.frozen_epochs = frozen_epochs
        self.batch_norm = batch_norm
        self.notice = ""
        """A line with the rates of the encoder's stages, once the optimizer is known; else empty."""
        network.keeps_statistics = batch_norm != "train"

    def optimizer(self, recipe: Callable[..., Optimizer], trainer: Any) -> Optimizer:
        """The recipe's optimizer of all trainable parameters, at their rates; see `configured`."""
        made = configured(recipe, self.network, self.encoder_lr, allows_fused(trainer), self.layer_decay)
        if self.layer_decay < 1:
            *stages, rest = rates(made)
            shares = ", ".join(f"{rate / rest:.3g}" for rate in stages) if rest else "0"
            self.notice = f"the rates of the encoder's stages, from the stem: {shares} of the others'"
        return made

    def begin(self, trainer: Any) -> None:
        """Called when a training begins, not where it goes on.

        Raises:
            UsageError: If the statistics to be kept are those of no data.
        """
        if self.batch_norm == "frozen" and all(_is_new(norm) for norm in self.network.encoder_norms()):
            raise UsageError(
                "found frozen, but the encoder's statistics are of no data, as nothing was loaded: start it "
                "from weights (--weights, model.backbone.weights), or take train or reestimated",
                "model.batch_norm",
            )
        if self.batch_norm == "reestimated":
            reestimate(self.network, trainer)

    def begin_epoch(self, epoch: int) -> bool:
        """Freezes the encoder, or no longer; returns whether anything that tasks share is trained."""
        frozen = epoch < self.frozen_epochs
        self.network.freeze_encoder(frozen)
        return not frozen or self.network.shares_unfrozen

    def rates(self, optimizer: Optimizer) -> dict[str, float]:
        """The learning rates that are logged: of decoders and heads, and of the stem where that differs."""
        found = rates(optimizer)
        return {"train/lr": found[-1], **({"train/lr_stem": found[0]} if self.layer_decay < 1 else {})}


def _is_new(norm: Any) -> bool:
    """Whether running statistics are as before the first batch: a mean of 0, a variance of 1."""
    return not norm.running_mean.any() and bool((norm.running_var == 1).all())
