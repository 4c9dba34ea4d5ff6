"""Metrics that are reduced over two real processes: see `two_processes.py` for what they measure."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

import fusionseg


def test_a_process_without_images_takes_part_and_knows_the_figures_of_all(tmp_path: Path) -> None:
    script = [sys.executable, str(Path(__file__).with_name("two_processes.py"))]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(fusionseg.__file__).parents[1])}
    ranks = [
        subprocess.Popen([*script, str(rank), str(tmp_path)], env=env, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    errors = [rank.communicate(timeout=200)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for one in found:
        np.testing.assert_equal(one["figures"], one["expected figures"])
        np.testing.assert_equal(one["per_class"], one["expected per_class"])
        assert not any(map(math.isnan, one["figures"].values()))
    # after the figures are computed, each process goes on with its own images
    assert [one["pixels in the state after compute"] for one in found] == [found[0]["pixels"], 0]
