"""The half of a LightningModule that measures what it says."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from fusionseg.engine.distributed import reduced_sums, world_size
from fusionseg.engine.evaluation import Truths, common_size
from fusionseg.engine.objective import divided, table
from fusionseg.engine.predictions import answers, padded
from fusionseg.metrics.suite import MetricSuite, total
from fusionseg.networks import Network
from fusionseg.sample import Classes, Counted, Frame, Prediction, Sample


class MeasuredModule(LightningModule):
    """A network whose answers are measured: validation and test add up sums of images and log figures of the whole set.

    Args:
        classes: The classes of the data.
        loss_weights: The weight of each task, which has a head.
    """

    network: Network

    def __init__(self, classes: Classes, loss_weights: dict[str, float]) -> None:
        super().__init__()
        self.classes, self.loss_weights = classes, loss_weights
        self.measures = MetricSuite.standard(classes)
        self.sums: Counted = {}
        self.truths: Truths | None = None

    @property
    def tasks(self) -> list[str]:
        """The tasks that are trained, in the order in which losses are listed."""
        return list(self.loss_weights)

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """The network's refinements for images whose sides are multiples of 32."""
        return self.network(image)  # type: ignore[no-any-return]

    def rows(self, refinements: list[dict[str, Any]], batch: Sample) -> list[tuple[Tensor, Tensor]]:
        """Sums and weights of the loss terms of this rank's batch, (K_t,) each, for each task."""
        rows = []
        for task in self.tasks:
            head: Any = self.network.heads[task]
            target = head.target(batch)
            sums, weights = zip(*(head.loss(r[task], target) for r in refinements), strict=True)
            rows.append((torch.cat(sums), torch.cat(weights)))
        return rows

    def terms(self, refinements: list[dict[str, Any]], batch: Sample) -> tuple[Tensor, Tensor]:
        """Sums and weights of the loss terms of this rank's batch, (T, K) each: task by task, padded with zeros."""
        sums, weights = table(self.rows(refinements, batch))
        return sums, weights

    @torch.no_grad()
    def predictions(self, batch: Sample, size: tuple[int, int]) -> list[Prediction]:
        """The answers for a batch of any size, at the size of its label files (H, W)."""
        valid = batch["image"].shape[-2:]
        batch = padded(batch)
        return self._answers(self(batch["image"])[-1], batch, (valid[0], valid[1]), size)

    def on_validation_epoch_start(self) -> None:
        self.sums, self.truths = {}, None  # an interrupted validation may have left some

    on_test_epoch_start = on_validation_epoch_start

    def validation_step(self, batch: Sample, _: int) -> Any:
        return self._measured(batch, self.trainer.val_dataloaders)

    def test_step(self, batch: Sample, _: int) -> Any:
        return self._measured(batch, self.trainer.test_dataloaders)

    def on_validation_epoch_end(self) -> None:
        self._log_measures("val")

    def on_test_epoch_end(self) -> None:
        self._log_measures("test")

    def _measured(self, batch: Sample, loader: Any) -> list[Prediction]:
        self.truths = self.truths or Truths(loader.dataset)
        pending = self.truths.start(batch)
        valid = (batch["image"].shape[-2], batch["image"].shape[-1])
        batch = padded(batch)
        refinements = self(batch["image"])
        terms = torch.stack(self.terms(refinements, batch))
        truths = [truth.result() for truth in pending]
        predictions = self._answers(refinements[-1], batch, valid, common_size(truths))
        images = (self.measures.sums(p, t) for p, t in zip(predictions, truths, strict=True))
        self.sums = total([self.sums, {"terms": terms.cpu().numpy().astype(np.float64)}, *images])
        return predictions

    def _log_measures(self, stage: str) -> None:
        if not self.sums:
            return
        self.totals = reduced_sums(self.sums, self.device)
        losses = divided(*torch.from_numpy(self.totals["terms"])).tolist()
        figures = {f"loss_{task}": value for task, value in zip(self.tasks, losses, strict=True)}
        figures["loss"] = sum(w * v for w, v in zip(self.loss_weights.values(), losses, strict=True))
        figures |= self.measures.figures(self.totals)
        named = {f"{stage}/{name}": float(value) for name, value in figures.items()}
        fits = self.trainer.state.fn == "fit"
        # while fitting by hand, because Lightning counts steps from 0 and differently after a resume
        self.log_dict(named, logger=False if fits else None, sync_dist=world_size() > 1)
        if fits:
            self._tell(named)
        self.sums, self.truths = {}, None

    def _tell(self, figures: dict[str, float]) -> None:
        for logger in () if self.trainer.sanity_checking else self.loggers:
            logger.log_metrics({**figures, "epoch": self.current_epoch}, self.global_step)

    def _answers(
        self, outputs: dict[str, Any], batch: Sample, valid: tuple[int, int], size: tuple[int, int]
    ) -> list[Prediction]:
        height, width = batch["image"].shape[-2:]
        heads: Any = self.network.heads
        return answers(
            outputs, dict(heads.items()), Frame((height, width), valid, size), batch["name"], self.classes
        )
