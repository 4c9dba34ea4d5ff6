"""Random numbers that depend on the step alone."""

import os

import numpy as np
import torch


def reseed(device: torch.device, *key: int) -> None:
    """Seeds torch's generators, of the host and of a device, from the run's seed and a key."""
    words = (int(os.environ.get("PL_GLOBAL_SEED", 0)), *key)
    seed = int(np.random.SeedSequence(words).generate_state(1)[0])
    # torch.manual_seed asks for every kind of device, at 60 times the cost
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
