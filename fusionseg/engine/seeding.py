"""Random numbers that are a function of the run's seed and the step alone."""

import os
from hashlib import blake2b

import torch


def reseed(device: torch.device, *key: int) -> None:
    """Seeds torch's generators of the host and of one device.

    >>> reseed(torch.device("cpu"), 3, 7)
    >>> first = torch.rand(2)
    >>> reseed(torch.device("cpu"), 3, 7)
    >>> torch.equal(first, torch.rand(2))
    True

    Args:
        device: The device whose generator is seeded too.
        key: Integers of at least 0, such as epoch and step, which are combined with the run's seed
            (`PL_GLOBAL_SEED`).
    """
    words = (int(os.environ.get("PL_GLOBAL_SEED", 0)), *key)
    seed = int.from_bytes(blake2b(repr(words).encode(), digest_size=4).digest(), "little")
    # torch.manual_seed queries every kind of device, which costs 60 times as much
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
