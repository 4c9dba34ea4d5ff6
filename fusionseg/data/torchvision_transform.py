"""Views in the light of any photometric transform of torchvision."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from typing_extensions import override

from fusionseg.corruptions.base import stored, unit
from fusionseg.data.base import DataError, Pixels
from fusionseg.data.view_changes import Others, ViewChange
from fusionseg.files.photos import Photo

FAMILIES = {
    "GaussianBlur": "blur",
    "GaussianNoise": "noise",
    "JPEG": "compression",
    "RandomErasing": "occlusion",
}
"""The families of transforms; those of all others are photometric."""

PROBES = 8
"""How often a transform is tried before it is used."""


class TorchvisionTransform(ViewChange):
    """A photometric transform of `torchvision.transforms.v2`, such as `ColorJitter` or `RandomPosterize`.

    Of images of more channels it gets the first three; images of 16 bits it gets as floats. It draws from
    torch's generator, which is seeded for each view.

    Args:
        transform: Recipe of the transform, by its path (`torchvision.transforms.v2.ColorJitter`).
        probability: How often a view is changed.

    Raises:
        ValueError: The transform moves pixels, or changes the size or type of images; or an argument is out
            of its range.
    """

    def __init__(self, transform: Callable[[], v2.Transform], probability: float = 1.0) -> None:
        super().__init__(probability)
        self.transform = transform()
        rng = np.random.default_rng(0)
        for _ in range(PROBES):
            try:
                self._transformed(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8), rng)
            except DataError as error:
                raise ValueError(str(error)) from error

    @property
    @override
    def families(self) -> tuple[str, ...]:
        names = [type(transform).__name__ for transform in _single(self.transform)]
        return tuple(dict.fromkeys(FAMILIES.get(name, "photometric") for name in names))

    @override
    def changed(self, view: Pixels, rng: np.random.Generator, others: Others | None) -> Pixels:
        rgb = self._transformed(view.image[..., :3], rng)
        further = view.image[..., 3:]
        return view._replace(image=np.dstack((rgb, further)) if further.size else rgb)

    def _transformed(self, rgb: Photo, rng: np.random.Generator) -> Photo:
        """The colors (H, W, 3) of an image.

        Raises:
            DataError: The transform moves pixels, or changes their size or type.
        """
        name = type(self.transform).__name__
        values = unit(rgb) if rgb.dtype == np.uint16 else rgb
        image = torch.from_numpy(np.array(values)).permute(2, 0, 1)
        places = torch.arange(rgb.shape[0] * rgb.shape[1]).reshape(1, *rgb.shape[:2])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            try:
                found, moved = self.transform(tv_tensors.Image(image), tv_tensors.Mask(places))
            except (TypeError, ValueError, RuntimeError) as error:
                raise DataError(f"{name} cannot be used on an image with label maps: {error}") from error
        if found.shape != image.shape or found.dtype != image.dtype or not torch.equal(moved, places):
            raise DataError(
                f"expected a photometric transform, which changes values alone, found {name}: leave the "
                "geometry to Augmentation, which moves labels along"
            )
        changed = found.permute(1, 2, 0).numpy()
        return changed if rgb.dtype == np.uint8 else stored(changed, rgb)


def _single(transform: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The transforms that a transform is put together from, or it alone."""
    inner = list(getattr(transform, "transforms", []))
    if not inner:
        yield transform
    for part in inner:
        yield from _single(part)
