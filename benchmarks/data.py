"""Training samples a second and core: ours against torchvision's transforms, on CamVid.

Both sides give a batch of random views (scale, rotation, flip, crop, color) of image, class map and region map, and
both pay for the conversion to normalised floats. One process, one thread, in turns. Three sources: files of photos and
classes, the same with regions derived from the classes (which costs both sides the same), and decoded images in memory.

    python -m benchmarks.data --root <folder of CamVid> [--batches 3] [--rounds 15]
"""

import argparse
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

from benchmarks.timing import Target, ratios, seconds, show
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import Labels, Pixels, SegmentationDataset
from fusionseg.data.camvid import CamVid
from fusionseg.data.layout import class_map
from fusionseg.data.samples import TrainSamples, collated, widened
from fusionseg.data.subset import Subset
from fusionseg.sample import VOID, Sample

CROP = (288, 384)
BATCH = 8
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Reader = Callable[[int], tuple[Tensor, Tensor, Tensor]]


class Peer:
    """The same views by torchvision: the transforms that its documentation recommends, on uint8 until the last step."""

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
        """Normalised images (B, 3, H, W) and their masks (B, 2, H, W)."""
        views = [self.view(index) for index in indices]
        return torch.stack([image for image, _ in views]), torch.stack([masks for _, masks in views]).long()

    def view(self, index: int) -> tuple[Tensor, Tensor]:
        """One image with its class map and its region map, moved together."""
        image, semantic, region = self.read(index)
        masks = tv_tensors.Mask(torch.stack((semantic.to(torch.int32), region)))
        view: tuple[Tensor, Tensor] = self.transform(tv_tensors.Image(image), masks)
        return view


class ClassesOnly(CamVid):
    """CamVid without regions."""

    def labels(self, index: int) -> Labels:
        """The class map, and no region."""
        semantic = class_map(self.pairs[index][1], len(self.classes), 11)
        return Labels(semantic, np.zeros(semantic.shape, np.uint16))


class Kept(Subset):
    """A few images, decoded once."""

    def __init__(self, dataset: CamVid, count: int) -> None:
        super().__init__(dataset, range(count))
        self.pixels = [dataset.read(i) for i in range(count)]

    def read(self, index: int) -> Pixels:
        """The image as it was decoded."""
        return self.pixels[index]


def ours(samples: TrainSamples, indices: range) -> tuple[Sample, Tensor]:
    """A batch and its normalised images."""
    batch = widened(collated([samples[0, index] for index in indices]))
    mean, std = (255 * torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return batch, batch["image"].float().sub_(mean).div_(std)


def tensors(pixels: Pixels) -> tuple[Tensor, Tensor, Tensor]:
    """What torchvision works on: (3, H, W) and two maps (H, W)."""
    image = torch.from_numpy(np.ascontiguousarray(pixels.image.transpose(2, 0, 1)))
    return image, torch.from_numpy(pixels.semantic), torch.from_numpy(pixels.region.astype(np.int32))


def decoded(dataset: CamVid, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """An image and its labels from the files, the photo by torchvision."""
    labels = dataset.labels(index)
    image = decode_image(str(dataset.pairs[index][0]), ImageReadMode.RGB)
    return image, torch.from_numpy(labels.semantic), torch.from_numpy(labels.region.astype(np.int32))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", default=f"{os.environ.get('FUSIONSEG_DATA', 'data')}/CamVid")
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    classes, derived = ClassesOnly("train", args.root), CamVid("train", args.root)
    kept = Kept(derived, args.batches * BATCH)
    stored = [tensors(pixels) for pixels in kept.pixels]
    sources: dict[str, tuple[Reader, SegmentationDataset]] = {
        "files": (partial(decoded, classes), classes),
        "files and derived regions": (partial(decoded, derived), derived),
        "memory": (stored.__getitem__, kept),
    }
    chunks = [range(i * BATCH, (i + 1) * BATCH) for i in range(args.batches)]
    for source, (reader, dataset) in sources.items():
        peer, samples = Peer(reader), TrainSamples(dataset, Augmentation(), CROP)
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
