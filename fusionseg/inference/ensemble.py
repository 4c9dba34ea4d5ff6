"""Several passes of an image through networks that answer as one: ensembles, and dropout left on."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fusionseg.config.errors import UsageError, UserError
from fusionseg.engine.passes import WHOLE, Passes
from fusionseg.engine.predictions import frame_of, predictions
from fusionseg.heads import Head, SemanticHead
from fusionseg.heads.dense import Dense
from fusionseg.losses.enlarging import scaled, wide
from fusionseg.module import FusionModule
from fusionseg.networks.base import Outputs
from fusionseg.sample import Classes, Prediction, Sample

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
"""The layers that are left on for samples."""

FREE = ("training", "dropout", "temperature")
"""What may differ between heads whose outputs are averaged, besides what can be tuned."""


class Ensemble(nn.Module):
    """Models of the same classes as one: the mean of what their networks predict is decoded, once.

    The mean is that of probabilities (Lakshminarayanan et al., arXiv:1612.01474, section 2.4), of distances
    and the like, as `averaged` of the heads has it, and the first model's heads decode it. With samples each
    network is asked so often with its dropout layers on (Gal and Ghahramani, arXiv:1506.02142, eq. 6). Each
    pass has a seed of its own, so that equal images have equal answers.

    Args:
        models: The models; what is said of them names them by their order.
        samples: The number of passes of each with dropout; one without dropout where left out.

    Attributes:
        models: The models.

    Raises:
        UsageError: If there are fewer than two samples, or nothing in a network that could differ between
            them.
        UserError: If classes or heads differ, or an output cannot be averaged.
    """

    def __init__(self, models: Sequence[nn.Module], samples: int | None = None) -> None:
        super().__init__()
        if samples is not None and samples < 2:
            raise UsageError(f"expected at least 2 samples, found {samples}", "samples")
        self.models = nn.ModuleList(models)
        self.samples = samples
        for number, model in enumerate(models):
            _check(model, models[0], number)
            if samples is not None and not active_dropout(model):
                raise UsageError(
                    f"no layer of {_name(number, len(models))} drops anything in training: samples would all "
                    "be equal",
                    "samples",
                )
        self.eval()

    @property
    def classes(self) -> Classes:
        """The classes of all models."""
        return self._first.classes

    @property
    def heads(self) -> dict[str, Head]:
        """The heads of the first model, which decode."""
        return self._first.heads

    @property
    def areas(self) -> tuple[int, int]:
        """The smallest areas of things and stuff of the first model."""
        return self._first.areas

    @property
    def hparams(self) -> Any:
        """The arguments of the first model."""
        return self._first.hparams

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return self._first.device

    @property
    def _first(self) -> FusionModule:
        return self.models[0]  # type: ignore[return-value]

    def forward(self, image: Tensor) -> list[Outputs]:
        """The mean outputs of the heads, for images (B, C, H, W) with sides divisible by 32."""
        return [self._averaged([network(image)[-1] for network in self._networks()])]

    @torch.no_grad()
    def predictions(
        self, batch: Sample, size: tuple[int, int], extras: Collection[str] = (), passes: Passes = WHOLE
    ) -> list[Prediction]:
        """As those of a `FusionModule`; with `entropy` among the extras also `disagreement`.

        That is the mutual information of class and network in nats (Gal et al., arXiv:1703.02910): the
        entropy of the mean probabilities less the mean of the entropies, 0 where all networks say the same.
        """
        several = [passes.outputs(network, self.heads, batch["image"]) for network in self._networks()]
        frame = frame_of(batch, size)
        names = batch["name"]
        mean = self._averaged(several)
        found = predictions(mean, self.heads, frame, names, self.classes, self.areas, extras)
        head = self.heads.get("semantic")
        if "entropy" not in extras or not isinstance(head, SemanticHead):
            return found
        apart = disagreement(head.probabilities(outputs["semantic"], frame) for outputs in several)
        maps = apart.cpu().numpy()
        return [replace(p, maps={**p.maps, "disagreement": maps[i]}) for i, p in enumerate(found)]

    def _averaged(self, several: Sequence[Outputs]) -> Outputs:
        """The outputs of the mean of what several outputs predict, enlarged to the largest of them."""
        found: Outputs = {}
        for task, head in self.heads.items():
            outputs = [wide(each[task]) for each in several]
            size = max(output.shape[-2:] for output in outputs)
            assert isinstance(head, Dense)  # as was checked
            found[task] = head.averaged([scaled(output, size) for output in outputs])
        return found

    def _networks(self) -> Iterator[Callable[[Tensor], list[Outputs]]]:
        """Each pass as a network of its own."""
        for model in self.models:
            if self.samples is None:
                yield model
            else:
                yield from (partial(_dropped, model, number) for number in range(self.samples))


def disagreement(probabilities: Iterable[Tensor]) -> Tensor:
    """The entropy of the mean probabilities less the mean of their entropies (B, H, W), in nats.

    Args:
        probabilities: Those of each network (B, C, H, W), of which one at a time is in memory, and at least
            one.
    """
    several = iter(probabilities)
    total = next(several)
    entropy = torch.special.entr(total).sum(1)
    number = 1
    for each in several:
        total = total + each
        entropy = entropy + torch.special.entr(each).sum(1)
        number += 1
    apart: Tensor = torch.special.entr(total / number).sum(1) - entropy / number
    return apart.clamp_min(0)


def active_dropout(model: nn.Module) -> list[nn.Module]:
    """The layers of a model that drop something in training."""
    layers = [layer for layer in model.modules() if isinstance(layer, DROPOUT)]
    return [layer for layer in layers if layer.p > 0]


@contextmanager
def dropping(model: nn.Module) -> Iterator[None]:
    """Lets the dropout layers of a model drop, while all others are as in an evaluation."""
    layers = active_dropout(model)
    try:
        for layer in layers:
            layer.train()
        yield
    finally:
        for layer in layers:
            layer.eval()


def _dropped(model: nn.Module, number: int, image: Tensor) -> list[Outputs]:
    """The outputs of a model whose dropout layers drop by a seed."""
    devices = [image.device] if image.is_cuda else []
    with torch.random.fork_rng(devices), dropping(model):
        torch.manual_seed(number)
        outputs: list[Outputs] = model(image)
        return outputs


def _check(model: nn.Module, first: nn.Module, number: int) -> None:
    """Raises a UserError if the outputs of a model and the first one cannot be averaged."""
    if not isinstance(model, FusionModule) or not isinstance(first, FusionModule):
        raise UserError(f"expected runs of a FusionModule to average, found {type(model).__name__}")
    if differing := model.classes.differences(first.classes):
        raise UserError(f"expected runs of the same classes, found that in run {number + 1} {differing[0]}")
    if model.heads.keys() != first.heads.keys():
        tasks = [", ".join(each.heads) for each in (first, model)]
        raise UserError(
            f"expected runs of the same tasks, found {tasks[0]} and, in run {number + 1}, {tasks[1]}"
        )
    for task, head in model.heads.items():
        own = first.heads[task]
        if not isinstance(head, Dense):
            raise UserError(
                f"expected heads with an output for each pixel to average, found {type(head).__name__}"
            )
        if type(head) is not type(own):
            kinds = f"{type(own).__name__} and, in run {number + 1}, {type(head).__name__}"
            raise UserError(f"expected the same head of {task} in all runs, found {kinds}")
        for name, value in _meaning(own).items():
            if _meaning(head).get(name) != value:
                found = f"{name} {value} and, in run {number + 1}, {_meaning(head).get(name)}"
                raise UserError(f"expected the same head of {task} in all runs, found {found}")


def _meaning(head: Head) -> dict[str, Any]:
    """The arguments of a head that say what its output means."""
    free = {*FREE, *head.tunable}
    plain = (bool, int, float, str, list, tuple)
    return {
        name: value
        for name, value in vars(head).items()
        if isinstance(value, plain) and not name.startswith("_") and name not in free
    }


def _name(number: int, among: int) -> str:
    """How a message names a model."""
    return "the network" if among == 1 else f"the network of run {number + 1}"
