"""Compares training samples per second and core with torchvision's transforms, on CamVid and large PNGs.

Both sides make batches of random views (scale, rotation, flip, crop, color) of image, class map and region
map, including the conversion to normalized floats, in one process with one thread. There are three sources
of CamVid: files of photos and classes; the same with regions derived from the classes, which costs both sides
the same; and decoded images in memory.

Large images are photos, classes and regions of 1024 x 2048 pixels as PNG, made of those of CamVid: read from
their files by each side in its own way, and from the cache on disk against torchvision from the files.

    python -m benchmarks.data --root <folder of CamVid> [--batches 3] [--rounds 15] [--only camvid|large]
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

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
from fusionseg.data.batches import collated, widened
from fusionseg.data.cache import DiskCache
from fusionseg.data.camvid import CamVid
from fusionseg.data.layout import class_map
from fusionseg.data.samples import TrainSamples
from fusionseg.data.subset import Subset
from fusionseg.files.images import read_labels, write_png
from fusionseg.files.photos import read_image
from fusionseg.sample import VOID, Array, Sample

CROP = (288, 384)
LARGE_CROP = (512, 1024)
BATCH = 8
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

Reader = Callable[[int], tuple[Tensor, Tensor, Tensor]]
"""Returns image (3, H, W), class map (H, W) and region map (H, W) of an index."""


class Peer:
    """Random views by torchvision, with the transforms that its documentation recommends."""

    def __init__(self, read: Reader, crop: tuple[int, int] = CROP) -> None:
        self.read = read
        fill = {tv_tensors.Image: 0, tv_tensors.Mask: VOID}
        self.transform = v2.Compose(
            [
                v2.RandomAffine(10, scale=(0.5, 2.0), interpolation=InterpolationMode.BILINEAR, fill=fill),
                v2.RandomCrop(crop, pad_if_needed=True, fill=fill),
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
        semantic = class_map(self.label_file(index), self.classes, 11)
        return Labels(semantic, np.zeros(semantic.shape, np.uint16))


class LargePNGs(SegmentationDataset):
    """Photos of 1024 x 2048 pixels, their classes and their regions as PNG files, which it writes.

    Each is made of six photos of CamVid at twice their size, so that the bytes of a pixel are about those of
    photos of that size (1.1 in Cityscapes).
    """

    classes = CamVid.classes

    def __init__(self, camvid: CamVid, count: int, folder: Path) -> None:
        super().__init__("train")
        self.files: list[list[Path]] = []
        for number in range(count):
            tiles = [camvid.read((6 * number + i) % len(camvid)) for i in range(6)]
            maps = [mosaic([np.asarray(pixels[kind]) for pixels in tiles]) for kind in range(3)]
            self.files.append([folder / f"{number}-{kind}.png" for kind in range(3)])
            for path, plane in zip(self.files[-1], maps, strict=True):
                write_png(path, plane)

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """The number of the image."""
        return str(index)

    def read(self, index: int) -> Pixels:
        """The photo and its labels from their files."""
        photo, semantic, region = self.files[index]
        return Pixels(
            read_image(photo), read_labels(semantic).astype(np.uint8), read_labels(region).astype(np.uint16)
        )

    def decoded(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """The same, decoded by torchvision."""
        photo, semantic, region = map(str, self.files[index])
        labels = decode_image(semantic, ImageReadMode.UNCHANGED)[0]
        regions = decode_image(region, ImageReadMode.UNCHANGED)[0]
        return decode_image(photo, ImageReadMode.RGB), labels, regions.to(torch.int32)

    def sources(self) -> list[object]:
        """The files."""
        return [path for files in self.files for path in files]


def mosaic(tiles: list[Array]) -> Array:
    """Six maps (H, W, ...) in two rows at twice their size, cut to 1024 x 2048 pixels."""
    rows = [np.hstack(tiles[:3]), np.hstack(tiles[3:])]
    method = cv2.INTER_CUBIC if tiles[0].ndim == 3 else cv2.INTER_NEAREST_EXACT
    enlarged: Array = cv2.resize(np.vstack(rows), None, fx=2, fy=2, interpolation=method)
    return np.ascontiguousarray(enlarged[:1024, :2048])


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
    image = decode_image(str(dataset.photo(index)), ImageReadMode.RGB)
    return image, torch.from_numpy(labels.semantic), torch.from_numpy(labels.region.astype(np.int32))


def compared(
    title: str,
    reader: Reader,
    datasets: dict[str, SegmentationDataset],
    crop: tuple[int, int],
    batches: int,
    rounds: int,
    targets: dict[str, Target],
) -> None:
    """Times batches of torchvision's views and ours, and prints the ratios and the samples a second."""
    chunks = [range(i * BATCH, (i + 1) * BATCH) for i in range(batches)]
    peer = Peer(reader, crop)
    variants: dict[str, Callable[[], object]] = {"torchvision": lambda: [peer.batch(c) for c in chunks]}
    for name, dataset in datasets.items():
        samples = TrainSamples(dataset, Augmentation(), crop)
        variants[name] = partial(lambda samples: [ours(samples, chunk) for chunk in chunks], samples)
    show(f"time of a training batch from {title}", ratios(variants, "torchvision", rounds), targets)
    for name, call in variants.items():
        print(f"{name}: {batches * BATCH / seconds(call):.1f} samples a second and core")


def camvid(root: str, batches: int, rounds: int) -> None:
    """Compares on CamVid: files, the same with derived regions, and decoded images in memory."""
    classes = ClassesOnly("train", root)
    derived = CamVid("train", root)
    kept = Kept(derived, batches * BATCH)
    stored = [tensors(pixels) for pixels in kept.pixels]
    sources: dict[str, tuple[Reader, SegmentationDataset]] = {
        "files": (partial(decoded, classes), classes),
        "files and derived regions": (partial(decoded, derived), derived),
        "memory": (stored.__getitem__, kept),
    }
    for source, (reader, dataset) in sources.items():
        compared(source, reader, {"fusionseg": dataset}, CROP, batches, rounds, {"fusionseg": Target(0.25)})


def large(root: str, batches: int, rounds: int) -> None:
    """Compares on PNGs of 1024 x 2048 pixels: files, and the cache on disk."""
    with TemporaryDirectory() as folder:
        dataset = LargePNGs(CamVid("train", root), batches * BATCH, Path(folder))
        size = sum(files[0].stat().st_size for files in dataset.files) / len(dataset) / (1024 * 2048)
        print(f"photos of 1024 x 2048 pixels as PNG, {size:.2f} bytes a pixel")
        kept = DiskCache(dataset, Path(folder) / "cache")
        datasets: dict[str, SegmentationDataset] = {"files": dataset, "cache": kept}
        targets = {"files": Target(0.25), "cache": Target(0.125)}
        compared("large PNGs", dataset.decoded, datasets, LARGE_CROP, batches, rounds, targets)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--root", default=f"{os.environ.get('FUSIONSEG_DATA', 'data')}/CamVid")
    parser.add_argument("--only", choices=("camvid", "large"))
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if args.only != "large":
        camvid(args.root, args.batches, args.rounds)
    if args.only != "camvid":
        large(args.root, 1, args.rounds)


if __name__ == "__main__":
    main()
