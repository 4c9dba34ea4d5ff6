"""Protocols as the command line builds them, and what is measured of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from fusionseg.commands.evaluate import EvaluateCLI
from fusionseg.config.lightning_messages import quiet
from fusionseg.data.base import Pixels, SegmentationDataset
from fusionseg.networks.base import Outputs
from fusionseg.sample import Classes, Sample

PROTOCOLS = Path(__file__).parents[2] / "experiments" / "protocols"

NORMAL = (0.6, 0.0, -0.8)
DEPTH = 6.0


class Coordinates(SegmentationDataset):
    """Images whose colors are the places of their pixels, x and y in (0, 1), at a depth of 6 m."""

    classes = Classes(names=("a",), colors=((0, 0, 0),))
    kinds = ("depth", "normals", "disparity")
    value_range = (0.0, 1.0)

    def __init__(self, split: Any, size: tuple[int, int]) -> None:
        super().__init__(split)
        self.size = size

    def __len__(self) -> int:
        return 1000

    def name(self, index: int) -> str:
        return f"{self.split}-{index}"

    def read(self, index: int) -> Pixels:
        height, width = self.size
        y, x = np.mgrid[:height, :width].astype(np.float32) + np.float32(0.5)
        image = np.dstack([x / width, y / height, np.zeros_like(x)])
        labels = np.zeros(self.size, np.uint8)
        normals = np.tile(np.array(NORMAL, np.float32), (*self.size, 1))
        depth = np.full(self.size, DEPTH, np.float32)
        return Pixels(
            image,
            labels,
            labels.astype(np.uint16) + np.uint16(1),
            {"depth": depth, "normals": normals, "disparity": depth},
        )


class Crop(NamedTuple):
    """What a training view shows.

    Args:
        size: Its height and width in pixels.
        rows: The part of the image's height that is shown, from top to bottom, in [0, 1].
        columns: That of its width, from left to right of the view.
        zoom: By what the depth of its labels is divided.
        turned: Whether the x of normals is the negative of theirs in the image.
    """

    size: tuple[int, int]
    rows: tuple[float, float]
    columns: tuple[float, float]
    zoom: float
    turned: bool


class Protocol:
    """A protocol, built by the command line, whose encoder may be a smaller one.

    Args:
        name: The stem of its file.
        args: Further arguments of the command line.
    """

    def __init__(self, name: str, *args: str) -> None:
        file = PROTOCOLS / f"{name}.yaml"
        fixed = ["--model.backbone.weights", "null", "--data.workers", "0", "--run", "none"]
        cli = EvaluateCLI(["--config", str(file), *fixed, *args])
        self.model: Any = cli.model
        self.data: Any = cli.datamodule
        self.trainer: dict[str, Any] = cli.config.as_dict()["trainer"]

    def batches(self) -> int:
        """The number of batches of an epoch."""
        return len(self.data.train_dataloader())

    def crops(self, size: tuple[int, int], number: int) -> list[Crop]:
        """What so many views show of images of a size, each of another image."""
        self.data.dataset = lambda split: Coordinates(split, size)
        self.data.datasets.clear()
        samples = self.data.train_dataloader().dataset
        return [_crop(samples[0, index]) for index in range(number)]

    def step(self) -> tuple[Tensor, Outputs, Sample]:
        """The loss of the first batch, the outputs of the network, and the batch."""
        batch = self.data.on_after_batch_transfer(next(iter(self.data.train_dataloader())), 0)
        refinements = self.model(batch["image"])
        return self.model.objective.step(refinements, batch, (0, 0)).loss, refinements[-1], batch


class Rates(pl.LightningModule):
    """A parameter that is trained as a protocol says, a step in each epoch."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.parameter = nn.Parameter(torch.zeros(1))
        self.optimizer = model.optimizer([self.parameter])
        self.plan = model.schedule
        self.rates: list[float] = []

    def configure_optimizers(self) -> Any:
        return self.plan.configured(self.optimizer, self.trainer.estimated_stepping_batches)

    def training_step(self, batch: Any, _: int) -> Tensor:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return self.parameter.sum()


def _crop(sample: Sample) -> Crop:
    """What a view of `Coordinates` shows."""
    x, y = sample["image"].numpy().astype(float)[:2]
    return Crop(
        x.shape,
        _ends(y[:, y.shape[1] // 2]),
        _ends(x[x.shape[0] // 2]),
        DEPTH / float(sample["depth"].max()),
        bool(sample["normals"][0].min() < 0),
    )


def _ends(places: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Where a line of evenly spaced places begins and ends, from those that no border is near to."""
    quarter = len(places) // 4
    step = (places[3 * quarter] - places[quarter]) / (2 * quarter)
    return places[quarter] - (quarter + 0.5) * step, places[quarter] + (len(places) - quarter - 0.5) * step


@pytest.fixture
def protocol() -> Callable[..., Protocol]:
    """Builds a protocol from the stem of its file and further arguments."""
    return Protocol


@pytest.fixture
def rates(plan: Callable[..., pl.Trainer]) -> Callable[[Protocol], list[float]]:
    """The learning rate in each epoch of a protocol, by Lightning's own loop."""

    def measured(given: Protocol) -> list[float]:
        module = Rates(given.model)
        trainer = plan(max_epochs=given.trainer["max_epochs"])
        with quiet():
            trainer.fit(module, torch.utils.data.DataLoader([0.0]))
        return module.rates

    return measured


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """OpenCV works in one thread, so that tests beside each other do not wait."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(0)
    yield
    cv2.setNumThreads(before)
