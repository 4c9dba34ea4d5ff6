"""What a run depends on beside its configuration: seed, images, machine, versions of packages, commit."""

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer

from fusionseg.data.base import labelled_images
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.files.atomic import Json

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "segmentation-models-pytorch",
    "numpy",
    "opencv-python-headless",
)


def environment(trainer: Trainer, module: LightningModule) -> Json:
    """The seed, the number of training images, the machine, the packages, and on rank 0 the commit."""
    commit = _commit() if trainer.is_global_zero else {}
    return {"seed": seed_of_run(), **_images(trainer), **_machine(trainer, module), **commit}


def seed_of_run() -> int | None:
    """The seed that `seed_everything` set."""
    seed = os.environ.get("PL_GLOBAL_SEED")
    return None if seed is None else int(seed)


def peak_memory() -> int:
    """The most bytes that this process has held: of its GPU where it uses one, else of main memory."""
    import torch

    if torch.cuda.is_available() and (held := torch.cuda.max_memory_allocated()):
        return held
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _images(trainer: Trainer) -> Json:
    """The number of training images; nothing of data of the user's own, which do not say."""
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, SegmentationDataModule) or "train" not in data.datasets:
        return {}
    dataset = data.datasets["train"]
    labelled = len(labelled_images(dataset))
    few = {} if labelled == len(dataset) else {"labelled_images": labelled}
    return {"training_images": len(dataset), **few}


def _machine(trainer: Trainer, module: LightningModule) -> Json:
    device = trainer.strategy.root_device
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        import torch

        name = torch.cuda.get_device_name(device)
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "precision": str(trainer.precision),
        "devices": {"kind": device.type, "name": name, "count": trainer.world_size},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
    }


def _commit() -> Json:
    """The commit that the code is at and whether it was changed since; nothing where it is not a checkout.

    Code that was installed into a folder of another checkout is not tracked there.
    """

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
