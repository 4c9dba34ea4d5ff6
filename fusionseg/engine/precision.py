"""Chooses the fastest numerical precision of a device, and the memory format that goes with it."""

from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.pytorch import LightningModule

from fusionseg.config.errors import UsageError
from fusionseg.config.lightning_messages import quiet
from fusionseg.networks import Network


def fast_precision(accelerator: object = "auto") -> str:
    """Lightning's `bf16-mixed` if the processor has bf16 arithmetic, otherwise `32-true`.

    Args:
        accelerator: Lightning's `accelerator` argument; for other values than `auto`, `cpu`, `gpu` and `cuda`
            the result is `32-true`.
    """
    if torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda"):
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = accelerator in ("auto", "cpu") and _cpu_has_bf16()
    return "bf16-mixed" if has_bf16 else "32-true"


def arrange(module: LightningModule, precision: str) -> None:
    """Lays a module's network out in memory as is fast on its device.

    Args:
        module: A LightningModule; one without a `Network` keeps its layout.
        precision: As Lightning's.
    """
    if isinstance(network := getattr(module, "network", None), Network):
        network.arrange(module.device.type, precision)


def placed(module: LightningModule, precision: str, device: str | torch.device | None = None) -> Fabric:
    """Moves a module to the device that it is to predict on, laid out as is fast there.

    Args:
        module: A LightningModule.
        precision: As Lightning's.
        device: As torch's; the fastest that there is where left out.

    Returns:
        What knows the device and its autocast.

    Raises:
        UsageError: If there is no such device or precision, or it is not installed.
    """
    chosen: dict[str, Any] = {"devices": 1}
    if device is not None:
        chosen = _chosen(device)
    try:
        with quiet():
            fabric = Fabric(**chosen, precision=precision)  # type: ignore[arg-type]
    except (ValueError, ImportError) as error:
        raise UsageError(str(error), "precision") from error
    module.to(fabric.device).eval()
    arrange(module, precision)
    return fabric


def _chosen(device: str | torch.device) -> dict[str, Any]:
    """What Fabric takes in place of a device of torch's.

    Raises:
        UsageError: If there is no such device.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"expected a device of torch's that is there, found {device}: {reason}", "device"
        ) from error
    alone = found.type in ("cpu", "mps") or found.index is None
    return {"accelerator": found.type, "devices": 1 if alone else [found.index]}


def precision_notice(chosen: str, module: LightningModule | None = None) -> str:
    """One line that explains the choice of `fast_precision`, and the memory format of a module's network.

    >>> precision_notice("32-true")
    'precision 32-true: this machine does not compute in bf16'
    """
    verb = "computes" if chosen == "bf16-mixed" else "does not compute"
    line = f"precision {chosen}: this machine {verb} in bf16"
    if isinstance(network := getattr(module, "network", None), Network):
        kind = "channels-last" if network.layout == torch.channels_last else "contiguous"
        line += f"; {kind} memory"
    return line


def slow_precision_notice(precision: str, accelerator: object) -> str:
    """One line where a device is to compute in bf16 and has no arithmetic for it; else empty.

    >>> slow_precision_notice("32-true", "cpu")
    ''
    """
    if not precision.startswith("bf16") or fast_precision(accelerator).startswith("bf16"):
        return ""
    return f"precision {precision}, which this machine computes slowly: 32-true is faster (precision)"


def _cpu_has_bf16() -> bool:
    """Whether PyTorch may use bf16 instructions of the CPU.

    Never where there is MPS, which `auto` would use instead, nor where `ATEN_CPU_CAPABILITY` holds PyTorch to
    what older processors have.
    """
    if torch.backends.mps.is_available() or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_tile"))
