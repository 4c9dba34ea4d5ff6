"""Compares training samples per second and core with torchvision's transforms, on CamVid.

Both sides make batches of random views (scale, rotation, flip, crop, color) of image, class map and region
map, including the conversion to normalized floats, in one process with one thread. There are three sources:
files of photos and classes; the same with regions derived from the classes, which costs both sides the same;
and decoded images in memory.

    python -m benchmarks.data --root <folder of CamVid> [--batches 3] [--rounds 15]
"""

import os
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import InterpolationMode, v2

from benchmarks.timing import Target, command_line, ratios, seconds, show
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import Labels, Pixels, SegmentationDataset
from fusionseg.data.camvid import CamVid
from fusionseg.data.layout import class_map
from fusionseg.data.samples import TrainSamples, collated, widened
from fusionseg.data.subset import Subset
from fusionseg.sample import VOID, Sample

CROP = (288, 384)
BATCH = 8
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

Reader = Callable[[int], tuple[Tensor, Tensor, Tensor]]
"""Returns image (3, H, W), class map (H, W) and region map (H, W) of an index."""


class Peer:
    """Random views by torchvision, with the transforms that its documentation recommends."""

    def __init__(self, read: Reader) -> None:
        self.read = read
        fill = {tv_tensors.Image: 0, tv_tensors.Mask: VOID}
        self.transform = v2.Compose(
            [
                v2.RandomAffine(10, scale=(0.5, 2.0), interpolation=InterpolationMode.BILINEAR, fill=fill),
                v2.RandomCrop(CROP, pad_if_needed=True, fill=fill),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(0.2, 0.2, 0.2, 0.05),
                v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def batch(self, indices: range) -> tuple[Tensor, Tensor]:
        """Normalized images (B, 3, H, W) and their masks (B, 2, H, W)."""
        views = [self.view(index) for index in indices]
        images = torch.stack([image for image, _ in views])
        masks = torch.stack([masks for _, masks in views])
        return images, masks.long()

    def view(self, index: int) -> tuple[Tensor, Tensor]:
        """A random view of one image (3, H, W) with its class and region map (2, H, W)."""
        image, semantic, region = self.read(index)
        masks = tv_tensors.Mask(torch.stack((semantic.to(torch.int32), region)))
        view: tuple[Tensor, Tensor] = self.transform(tv_tensors.Image(image), masks)
        return view


class ClassesOnly(CamVid):
    """CamVid without regions."""

    def labels(self, index: int) -> Labels:
        """The class map and an empty region map."""
        semantic = class_map(self.pairs[index][1], self.classes, 11)
        return Labels(semantic, np.zeros(semantic.shape, np.uint16))


class Kept(Subset):
    """The first images of a dataset, decoded once and kept in memory."""

    def __init__(self, dataset: CamVid, count: int) -> None:
        super().__init__(dataset, range(count))
        self.pixels = [dataset.read(i) for i in range(count)]

    def read(self, index: int) -> Pixels:
        """The decoded image with its labels."""
        return self.pixels[index]


def ours(samples: TrainSamples, indices: range) -> tuple[Sample, Tensor]:
    """A batch and its normalized images (B, 3, H, W)."""
    batch = widened(collated([samples[0, index] for index in indices]))
    mean, std = (255 * torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return batch, batch["image"].float().sub_(mean).div_(std)


def tensors(pixels: Pixels) -> tuple[Tensor, Tensor, Tensor]:
    """Image (3, H, W), class map (H, W) and region map (H, W) as tensors, for torchvision."""
    image = torch.from_numpy(np.ascontiguousarray(pixels.image.transpose(2, 0, 1)))
    return image, torch.from_numpy(pixels.semantic), torch.from_numpy(pixels.region.astype(np.int32))


def decoded(dataset: CamVid, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """An image, decoded by torchvision, and its labels, from their files."""
    labels = dataset.labels(index)
    image = decode_image(str(dataset.pairs[index][0]), ImageReadMode.RGB)
    return image, torch.from_numpy(labels.semantic), torch.from_numpy(labels.region.astype(np.int32))


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--root", default=f"{os.environ.get('FUSIONSEG_DATA', 'data')}/CamVid")
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    classes = ClassesOnly("train", args.root)
    derived = CamVid("train", args.root)
    kept = Kept(derived, args.batches * BATCH)
    stored = [tensors(pixels) for pixels in kept.pixels]
    sources: dict[str, tuple[Reader, SegmentationDataset]] = {
        "files": (partial(decoded, classes), classes),
        "files and derived regions": (partial(decoded, derived), derived),
        "memory": (stored.__getitem__, kept),
    }
    chunks = [range(i * BATCH, (i + 1) * BATCH) for i in range(args.batches)]
    for source, (reader, dataset) in sources.items():
        peer = Peer(reader)
        samples = TrainSamples(dataset, Augmentation(), CROP)
        variants: dict[str, Callable[[], object]] = {
            "torchvision": lambda peer=peer: [peer.batch(chunk) for chunk in chunks],  # type: ignore[misc]
            "fusionseg": lambda samples=samples: [ours(samples, chunk) for chunk in chunks],  # type: ignore[misc]
        }
        measured = ratios(variants, "torchvision", args.rounds)
        show(f"time of a training batch from {source}", measured, {"fusionseg": Target(0.25)})
        for name, call in variants.items():
            print(f"{name}: {args.batches * BATCH / seconds(call):.0f} samples a second and core")


if __name__ == "__main__":
    main()
