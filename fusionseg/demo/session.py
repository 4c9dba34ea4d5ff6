"""What the page asks of a model, one request after the other."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from fusionseg.config.errors import UserError
from fusionseg.demo.pictures import pictures
from fusionseg.demo.sliders import parameters, sliders
from fusionseg.engine.decoding import decode_with
from fusionseg.inference.attribution import Attribution, AttributionTarget
from fusionseg.inference.explaining import check_target
from fusionseg.inference.kept_outputs import KeptOutputs, with_heads
from fusionseg.inference.predictor import Predictor
from fusionseg.sample import Picture

BOUNDARY = AttributionTarget(task="region")


class Session:
    """A model whose decoding each request sets anew, so that several pages can be open at once.

    Args:
        predictor: The model.

    Attributes:
        sliders: The parameters of its decoding.

    Raises:
        UserError: If it has no heads of its own.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.sliders = sliders(with_heads(predictor.model).heads)
        self._lock = Lock()

    @property
    def targets(self) -> dict[str, AttributionTarget]:
        """What can be explained of an image, by the title that the page gives it."""
        named = {name: AttributionTarget(name) for name in self.predictor.classes.names}
        return {
            title: target
            for title, target in {**named, "(boundaries)": BOUNDARY}.items()
            if self._explains(target)
        }

    @property
    def explains_pixels(self) -> bool:
        """Whether the class of a pixel can be explained."""
        return self._explains(AttributionTarget(pixel=(0, 0)))

    def seen(self, image: Path) -> KeptOutputs:
        """The outputs of the network for an image in a file.

        Raises:
            OSError: If there is no such file.
            ValueError: If it is no image that the model takes.
        """
        with self._lock:
            return KeptOutputs(self.predictor, image)

    def decoded(
        self, outputs: KeptOutputs, values: Sequence[float], opacity: float = 0.5
    ) -> dict[str, Picture]:
        """The pictures (H, W, 3) of an answer, by title; the network is not asked again.

        Args:
            outputs: The outputs for an image.
            values: The value of each slider.
            opacity: Share of the colors of labels, from 0 to 1.

        Raises:
            UserError: If a head cannot decode by the values.
        """
        with self._lock:
            self._set(values)
            return pictures(outputs.answer(), opacity)

    def explained(
        self, outputs: KeptOutputs, values: Sequence[float], target: AttributionTarget
    ) -> Attribution:
        """Where the network looks for something; it is asked again.

        Args:
            outputs: The outputs for an image.
            values: The value of each slider, which decide on the pixels that are explained.
            target: What is explained.

        Raises:
            UserError: If the model or the image has nothing of the kind.
        """
        check_target(self.predictor.model, self.predictor.passes, target)
        with self._lock:
            self._set(values)
            return self.predictor.attribution(outputs.photo, target)

    def _set(self, values: Sequence[float]) -> None:
        """Sets the parameters of the decoding."""
        decode_with(self.predictor.model.heads, parameters(self.sliders, values), "the sliders")

    def _explains(self, target: AttributionTarget) -> bool:
        """Whether the model can explain something at all."""
        try:
            check_target(self.predictor.model, self.predictor.passes, target)
        except UserError:
            return False
        return True
