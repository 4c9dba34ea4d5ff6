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
    checks = [
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]
    return any(check() for check in checks if check) and not torch.backends.mps.is_available()
