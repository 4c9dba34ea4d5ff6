"""The LightningModule of classification: which classes an image shows."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fusionseg.config.recipe import made, record
from fusionseg.engine.optimization import WarmupPoly
from fusionseg.heads import ClassifierHead, Head
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing, Network
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Classes


class ClassificationModule(FusionModule, pipeline_tag="image-classification", tags=["image-classification"]):
    """An image classifier: a `FusionModule` whose one task is `scene`, the classes that an image shows.

    So it is trained, resumed, evaluated and shared in the same way, and its encoder is where a `FusionModule`
    of the same encoder starts (`fit --weights RUN`). Whether an image shows exactly one class or any number
    is what the data say (`Classes.per_image`).

    Args:
        classes: What the data declare (`ClassificationDataModule.classes`); the command line fills it in.
        head: Recipe of the head; `ClassifierHead` reads the encoder alone, `SceneHead` a decoder.
        network: Recipe of how encoder and head are put together.
        backbone: Which encoder; a decoder is built for heads that read one.
        optimizer: As in `FusionModule`.
        schedule: As in `FusionModule`.
        encoder_lr: The encoder's learning rate, times the optimizer's.
        freeze_encoder_epochs: For so many first epochs the encoder does not change.
        l1: Weight of an L1 penalty on all trainable parameters.
        compile: Compile the network's parts with torch.compile.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        classes: Classes | dict[str, Any],
        head: Callable[[Any, int], Head] = ClassifierHead,
        network: Callable[[dict[str, Callable[[int], Head]], Backbone], Network] = HardSharing,
        backbone: Backbone = Backbone(),  # noqa: B008 (frozen)
        optimizer: Callable[[Any], Optimizer] = AdamW,
        schedule: Callable[[Optimizer], LRScheduler] | None = WarmupPoly,
        encoder_lr: float = 1.0,
        freeze_encoder_epochs: int = 0,
        l1: float = 0.0,
        compile: bool = False,
    ) -> None:
        arguments = dict(locals())
        declared = classes if isinstance(classes, Classes) else Classes(**classes)
        super().__init__(
            classes=declared,
            gamma=1.0,
            semantic_head=None,
            region_head=None,
            scene_head=_of(head, declared),
            network=network,
            backbone=backbone,
            optimizer=optimizer,
            schedule=schedule,
            encoder_lr=encoder_lr,
            freeze_encoder_epochs=freeze_encoder_epochs,
            l1=l1,
            compile=compile,
        )
        record(self, arguments)


def _of(head: Callable[[Any, int], Head], classes: Classes) -> Callable[[Any, int], Head]:
    """The head's recipe in the single form where an image shows exactly one class, if the head has one."""
    recipe: Any = head
    given = getattr(head, "keywords", {})
    takes = "single" in inspect.signature(made(head)).parameters
    open_to_data = takes and given.get("single") is None
    return partial(recipe, single=True) if classes.per_image == "one" and open_to_data else head
