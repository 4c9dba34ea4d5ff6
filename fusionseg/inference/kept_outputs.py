"""The outputs of a network for one image, which are decoded as often as the decoding changes."""

from collections.abc import Collection
from typing import Any

import torch

from fusionseg.config.errors import UserError
from fusionseg.engine.predictions import drawables, frame_of, predictions
from fusionseg.inference.answer import Answer
from fusionseg.inference.inputs import AnyImage
from fusionseg.inference.predictor import SOFT, Predictor


class KeptOutputs:
    """What the network says of an image: it sees the image once, and each `answer` only decodes.

    Args:
        predictor: The model, whose heads decode as they are set when an answer is asked for.
        image: One image, as the predictor takes it.

    Attributes:
        photo: The image as it was read, with its name.

    Raises:
        UserError: If the model has no heads of its own.
        OSError: If there is no such file.
        ValueError: If it is no image, or of other channels or values than the model takes.
    """

    def __init__(self, predictor: Predictor, image: AnyImage) -> None:
        self.predictor = predictor
        self.photo = predictor.named(image)
        model = self._model = with_heads(predictor.model)
        batch = predictor.batch([self.photo])
        self._frame = frame_of(batch, self.photo.photo.shape[:2])
        with torch.no_grad(), predictor.fabric.autocast():
            outputs = predictor.passes.outputs(model, model.heads, batch["image"])
            self._outputs = {task: head.kept(outputs[task]) for task, head in model.heads.items()}

    def answer(self, extras: Collection[str] = SOFT) -> Answer:
        """The answer as the heads decode now, the same as the predictor's to the last bit.

        Args:
            extras: Those of `engine.predictions.EXTRAS` that are wanted.
        """
        model = self._model
        classes = self.predictor.classes
        names = [self.photo.name]
        with torch.no_grad(), self.predictor.fabric.autocast():
            [found] = predictions(
                self._outputs, model.heads, self._frame, names, classes, model.areas, extras
            )
        return Answer.of(found, self.photo.photo, classes, drawables(model))


def with_heads(model: Any) -> Any:
    """A model that has heads which decode its outputs, such as a `FusionModule`.

    Args:
        model: Any LightningModule.

    Raises:
        UserError: If it has no heads whose outputs could be kept.
    """
    if not hasattr(model, "heads") or not hasattr(model, "areas"):
        raise UserError(f"expected a FusionModule, whose heads decode, found {type(model).__name__}")
    return model
