"""Chooses the fastest numerical precision of a device."""

import torch


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


def precision_notice(chosen: str) -> str:
    """One line that explains the choice of `fast_precision`.

    >>> precision_notice("32-true")
    'precision 32-true: this machine does not compute in bf16'
    """
    verb = "computes" if chosen == "bf16-mixed" else "does not compute"
    return f"precision {chosen}: this machine {verb} in bf16"


def _cpu_has_bf16() -> bool:
    """Whether the CPU has bf16 instructions; never where there is MPS, which `auto` would use instead."""
    if torch.backends.mps.is_available():
        return False
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_tile"))
