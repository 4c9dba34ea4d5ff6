"""A trained model as a function of images."""

import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import count, groupby
from pathlib import Path
from typing import Any, TypeVar, Unpack, overload

import cv2
import torch

from fusionseg.engine.passes import Passes, answering
from fusionseg.engine.precision import slow_precision_notice
from fusionseg.engine.predictions import drawables, image_channels
from fusionseg.engine.receptive_field import tile_notice
from fusionseg.files.photos import ValueRange
from fusionseg.inference.answer import Answer, Asked
from fusionseg.inference.attribution import Attribution, AttributionTarget
from fusionseg.inference.checks import check_arguments, check_asked
from fusionseg.inference.ensemble import Ensemble
from fusionseg.inference.explaining import check_target, explained
from fusionseg.inference.inputs import AnyImage, NamedPhoto, as_input, batches, is_image, named_photo
from fusionseg.inference.sources import (
    agreed,
    chosen_precision,
    common_settings,
    placed_models,
    trained_models,
)
from fusionseg.sample import Classes, Sample

SOFT = ("contours", "confidence")
"""What an answer has beside labels where soft maps are wanted."""

OneImage = TypeVar("OneImage", bound=AnyImage)


class Predictor:
    """Answers images of any size by a trained model, preprocessed as in its training.

    >>> p = Predictor("runs/camvid")  # doctest: +SKIP
    >>> p("photo.jpg").segments()  # doctest: +SKIP

    Args:
        source: A run folder, whose best checkpoint is taken with its tuned decoder if there is one, a
            checkpoint, a folder of `save_pretrained`, or an ONNX file of `fusionseg export`, whose network
            runs in ONNX Runtime. It may be anybody's: only classes of trusted packages are built. Several
            are an `Ensemble`, without their tuned decoders.
        device: As torch's, such as `cuda:1`; the fastest that there is where left out.
        precision: As Lightning's; that of the training where left out, which `evaluate` measures.
        threads: Threads of torch and OpenCV, for this whole process; theirs where left out.
        batch_size: Consecutive images of one size and type that the network sees at once.
        scale: Size at which the network sees an image, relative to the image; as in training where left out.
        value_range: The values that are black and white in images of more than 8 bits; as in training where
            left out.
        untuned: Whether a tuned decoder is left out.
        trust: Packages to trust beside those of `fusionseg.config.trust`.
        tile: Height and width of the parts in which the network sees an image, in pixels of its input; as a
            whole where left out. Where that changes answers, a warning comes with the first one.
        overlap: How many pixels two neighboring parts share.
        tta: Test-time augmentation: `flip`, and further sizes relative to the network's input, such as
            "flip,0.75,1.25".
        samples: How often the network is asked with its dropout layers on; once without where left out.

    Attributes:
        model: The LightningModule, or the `ExportedModel`.
        settings: What answers depend on: the digest of the `checkpoint`, the `scale`, the `value_range`, the
            `precision` and, of a tuned `decoder`, its record; further `resize`, `tile`, `overlap`, `tta` and
            `samples`, where these are given.
        decoder: The tuned decoder, if there is one.
        channels: The channels of an image.

    Raises:
        UsageError: If an argument is out of its range.
        ValueError: If there is no such model.
        OSError: If there is no such file.
    """

    def __init__(
        self,
        source: str | Path | Sequence[str | Path],
        *,
        device: str | torch.device | None = None,
        precision: str | None = None,
        threads: int | None = None,
        batch_size: int = 1,
        scale: float | None = None,
        value_range: ValueRange | None = None,
        untuned: bool = False,
        trust: Iterable[str] = (),
        tile: int | None = None,
        overlap: int = 128,
        tta: str | Sequence[str | float] = (),
        samples: int | None = None,
    ) -> None:
        check_arguments(threads, batch_size, scale, value_range)
        if threads is not None:
            torch.set_num_threads(threads)
            cv2.setNumThreads(threads)
        self.passes = Passes.of(tile, overlap, tta)
        sources = trained_models(source, untuned, trust)
        models = [one.model for one in sources]
        alone = len(sources) == 1
        self.model: Any = models[0] if alone and samples is None else Ensemble(models, samples)
        answering(self.model, passes=self.passes)  # refuses what it cannot do, before an image is read
        self.decoder = sources[0].decoder if alone else None
        self._left_out = not (alone or untuned) and any(one.is_tuned for one in sources)
        self.settings = common_settings(sources, scale, value_range)
        self.settings["precision"] = chosen_precision(sources, precision, device)
        if samples is not None:
            self.settings["samples"] = samples
        if self.decoder:
            self.settings["decoder"] = self.decoder.record
        self.settings |= self.passes.record
        self.channels = agreed([image_channels(model) for model in models], "number of channels")
        self.batch_size = batch_size
        self._numbers = count()
        self._unwarned = True
        self.fabric = placed_models(models, self.settings["precision"], device)

    @property
    def classes(self) -> Classes:
        """The classes that the model tells apart."""
        return self.model.classes  # type: ignore[no-any-return]

    @property
    def notice(self) -> str:
        """Lines on tuned decoders left out, a slow precision, and tiles that differ from whole images."""
        left = "tuned decoders and temperatures are of single runs: left out for several"
        slow = slow_precision_notice(self.settings["precision"], self.fabric.device.type)
        tiles = tile_notice(self.model, self.passes)
        return "\n".join(filter(None, (left if self._left_out else "", slow, tiles)))

    @overload
    def __call__(self, images: AnyImage, **asked: Unpack[Asked]) -> Answer: ...

    @overload
    def __call__(
        self, images: list[OneImage] | tuple[OneImage, ...], **asked: Unpack[Asked]
    ) -> list[Answer]: ...

    @overload
    def __call__(self, images: Iterator[OneImage], **asked: Unpack[Asked]) -> Iterator[Answer]: ...

    def __call__(
        self,
        images: AnyImage | Iterable[AnyImage],
        *,
        probabilities: bool = False,
        entropy: bool = False,
        soft: bool = True,
        outputs: bool = False,
    ) -> Answer | list[Answer] | Iterator[Answer]:
        """The answer for an image, those for a list or tuple of images, or one after the other for others.

        Args:
            images: A path, PIL image, array (H, W, C), tensor (C, H, W), `PhotoWithDepth`, or several.
            probabilities: Whether answers have the probabilities of all classes too.
            entropy: Whether they have the entropy of these, which says how uncertain the class is, and of
                several networks or samples their disagreement.
            soft: Whether they have confidence and soft boundaries; while these are made, they take as much
                memory as the probabilities of all classes at the image's size.
            outputs: Whether they have what each head gives, before it is decoded.

        Raises:
            OSError: If there is no such file.
            ValueError: If something is no image, or of other channels or values than the model takes, or
                probabilities are asked of a model without classes.
        """
        asked = [name for name, wanted in (("probabilities", probabilities), ("entropy", entropy)) if wanted]
        check_asked(self.model, asked)
        if self._unwarned and (notice := tile_notice(self.model, self.passes)):
            warnings.warn(notice, stacklevel=2)
        self._unwarned = False
        extras = (*(SOFT if soft else ()), *asked, *(["outputs"] if outputs else []))
        given: Any = images
        if is_image(images):
            return next(self._answers([given], extras))
        found = self._answers(given, extras)
        return list(found) if isinstance(images, list | tuple) else found

    def answers(self, photos: Sequence[NamedPhoto], extras: Collection[str] = SOFT) -> list[Answer]:
        """The answers for images (H, W, C) of one size and type, at once.

        Args:
            photos: The images.
            extras: Those of `engine.predictions.EXTRAS` that are wanted, and `outputs`.
        """
        height, width = photos[0].photo.shape[:2]
        answer = answering(self.model, extras, self.passes)
        with torch.no_grad(), self.fabric.autocast():
            predictions = answer(self.batch(photos), (height, width))
        return [
            Answer.of(prediction, photo, self.classes, drawables(self.model))
            for prediction, (_, photo) in zip(predictions, photos, strict=True)
        ]

    def explain(
        self,
        image: AnyImage,
        cls: str | None = None,
        *,
        region: int | None = None,
        pixel: tuple[int, int] | None = None,
        task: str = "semantic",
        layer: str | None = None,
    ) -> Attribution:
        """Where the network looks for a class, a region or a pixel; see `explaining.explained`.

        Args:
            image: One image, as for an answer.
            cls: A class; that which a region or a pixel is predicted as where left out.
            region: A region's id in the answer.
            pixel: A pixel's row and column in the image.
            task: `semantic` for what made this a class, `region` for what made this a boundary.
            layer: The module of the network whose map is weighted, such as `encoder.body.layer3`; the deepest
                map of the encoder's pyramid where left out.

        Raises:
            UserError: If the model or the image has nothing of the kind.
        """
        target = AttributionTarget(cls, region, pixel, task, layer)
        check_target(self.model, self.passes, target)
        return self.attribution(self.named(image), target)

    def attribution(self, photo: NamedPhoto, target: AttributionTarget) -> Attribution:
        """The same of an image (H, W, C), for a target that was checked."""
        with self.fabric.autocast():
            return explained(self.model, self.batch([photo]), photo, target)

    def named(self, image: AnyImage) -> NamedPhoto:
        """One image as it is read, with a name.

        Raises:
            OSError: If there is no such file.
            ValueError: If it is no image, or of other channels or values than the model takes.
        """
        seen = (self.channels, self.settings["value_range"], self.settings.get("depth_limit"))
        return named_photo(image, next(self._numbers), *seen)

    def batch(self, photos: Sequence[NamedPhoto]) -> Sample:
        """Images of one size and type as the network sees them, on its device."""
        seen = torch.stack([as_input(photo, self.settings) for _, photo in photos])
        return {"image": seen.to(self.fabric.device), "name": [name for name, _ in photos]}

    def _answers(self, images: Iterable[AnyImage], extras: Sequence[str]) -> Iterator[Answer]:
        photos = map(self.named, images)
        for _, alike in groupby(photos, key=lambda one: (one.photo.shape, one.photo.dtype)):
            for several in batches(alike, self.batch_size):
                yield from self.answers(several, extras)
