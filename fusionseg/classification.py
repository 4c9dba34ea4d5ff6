"""The LightningModule of classification: which classes an image shows."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fusionseg.config.recipe import made, record
from fusionseg.engine.fine_tuning import BatchNorm
from fusionseg.engine.optimization import WarmupPoly
from fusionseg.engine.teacher import Teacher
from fusionseg.heads import ClassifierHead, Head
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing, Network
from fusionseg.networks.backbone import Backbone
from fusionseg.regularization import Regularizer
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
        encoder_lr: As in `FusionModule`, and so are all that follow.
        layer_decay: Factor of the rate from one stage of the encoder to the one before.
        freeze_encoder_epochs: For so many first epochs the encoder does not change.
        batch_norm: What the encoder's batch norms use in training.
        l1: Weight of an L1 penalty on all trainable parameters.
        regularizer: Recipe of a further penalty on the weights, such as `L2SP`.
        teacher: A model to learn from, besides the labels: a trained one, or the mean of its own weights.
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
        layer_decay: float = 1.0,
        freeze_encoder_epochs: int = 0,
        batch_norm: BatchNorm = "train",
        l1: float = 0.0,
        regularizer: Callable[[], Regularizer] | None = None,
        teacher: Teacher | None = None,
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
            layer_decay=layer_decay,
            freeze_encoder_epochs=freeze_encoder_epochs,
            batch_norm=batch_norm,
            l1=l1,
            regularizer=regularizer,
            teacher=teacher,
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
