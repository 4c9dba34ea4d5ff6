"""Times a training step on the kept features of a frozen encoder against steps that compute them.

All are steps of a loop without Lightning, with the same decoder, heads, losses and optimizer, on one batch
that is in memory. End to end the encoder learns; beside that stands a step with a frozen one, which computes
features without gradients. From the cache each step maps the features of the batch from a file. The light
decoders read a pyramid from stride 8 on. A U-Net, which reads all levels and computes at stride 2, is timed
beside them, without a target.

    python -m benchmarks.features [--encoder resnet50] [--size 288 384] [--batch 4] [--rounds 15]
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.step import CLASSES, bare, blocks
from benchmarks.timing import Quartiles, Target, command_line, ratios, show
from fusionseg.data.feature_file import FeatureFile, filled, readable
from fusionseg.engine.encoder_features import EncoderFeatures
from fusionseg.engine.precision import fast_precision
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample

DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "1x1 from stride 8": ("LightPyramid", {}),
    "transformer of 2 layers from stride 8": ("LightPyramid", {"layers": 2}),
    "Unet": ("Unet", {}),
}
"""The decoders by what they are called in the table."""

END_TO_END = "end to end"

TARGET = Target(0.1)
"""At most so much of the time of a step end to end, for light decoders."""


def steps(
    encoder: str, decoder: tuple[str, dict[str, Any]], batch: Sample, folder: Path, precision: str
) -> tuple[dict[str, Callable[[], None]], int]:
    """The steps by what they are called in the table, and the bytes of the features of one image."""
    name, options = decoder
    backbone = Backbone(encoder, decoder=name, options=options)
    learning, module = (FusionModule(CLASSES, backbone=backbone) for _ in range(2))
    learning.network.arrange("cpu", precision)
    module.network.arrange("cpu", precision)
    module.network.encoder.requires_grad_(False)
    module.network.freeze_encoder(True)
    features = EncoderFeatures(module.network)
    rows = features.of(batch["image"])
    file = filled(folder / f"{name}{len(options)}.values", "key", rows.unbind())
    step = bare(module, batch, precision)
    found = {
        END_TO_END: bare(learning, batch, precision),
        "frozen": step,
        "from the cache": _from_file(features, file, batch, step),
    }
    return found, rows[0].numel() * rows.element_size()


def _from_file(
    features: EncoderFeatures, file: FeatureFile, batch: Sample, step: Callable[[], None]
) -> Callable[[], None]:
    """The step with features that are read from a file."""

    def kept() -> None:
        rows = torch.stack([file.read(index) for index in range(len(file))])
        features.encoder.known = features.pyramid(rows, batch["image"].shape[-2:])
        step()
        features.encoder.known = None

    return kept


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--encoder", default="resnet50")
    parser.add_argument("--size", type=int, nargs=2, default=(288, 384), help="of images, multiples of 32")
    parser.add_argument("--batch", type=int, default=4, help="images of a step")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], help="the fastest where left out")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    precision = args.precision or fast_precision("cpu")
    # with one thread CPU time is the same, but less affected by other processes
    clock = time.process_time if args.threads == 1 else time.perf_counter
    batch = blocks(tuple(args.size), count=args.batch)
    print(f"{args.encoder}, {args.batch} images of {args.size[0]} x {args.size[1]}, {precision}")
    measured: dict[str, Quartiles] = {}
    with TemporaryDirectory() as folder:
        for title, decoder in DECODERS.items():
            variants, size = steps(args.encoder, decoder, batch, Path(folder), precision)
            found = ratios(variants, END_TO_END, args.rounds, clock)
            measured |= {f"{title}, {name}": found[name] for name in variants if name != END_TO_END}
            print(f"{title}: {readable(size)} an image")
    targets = {f"{title}, from the cache": TARGET for title in DECODERS if title != "Unet"}
    show("time of a step as a ratio to one end to end", measured, targets)


if __name__ == "__main__":
    main()
