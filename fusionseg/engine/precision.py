"""The precision that is fast on a device."""

from typing import Any

import torch


def fast_precision(accelerator: Any = "auto") -> str:
    """`bf16-mixed` where the processor computes in bf16, else `32-true`."""
    if torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda"):
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = accelerator in ("auto", "cpu") and _cpu_has_bf16()
    return "bf16-mixed" if able else "32-true"


def precision_notice(chosen: str) -> str:
    """One line that says why `fast_precision` chose so."""
    return f"precision {chosen}: this machine {'computes' if chosen == 'bf16-mixed' else 'does not compute'} in bf16"


def _cpu_has_bf16() -> bool:
    """Whether the CPU has bf16 instructions; never where there is MPS, which `auto` would use instead."""
    if torch.backends.mps.is_available():
        return False
    # an older PyTorch without this function counts as a CPU without bf16
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_tile"))
