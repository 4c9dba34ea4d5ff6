"""What a command on two ranks leaves; what they compute stands in `test_ddp.py`."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

SCRIPT = """\
#!{python}
import sys
from fusionseg.cli.entry import main
sys.exit(main())
"""
"""What `pip` installs as the command `fusionseg`."""

MODULE = "python -m fusionseg.fit"


def way(words: str, folder: Path) -> list[str]:
    """The beginning of a command line; the installed command is a file in the folder."""
    program, *rest = words.split()
    if program == "python":
        return [sys.executable, *rest]
    script = folder / "bin" / program
    script.parent.mkdir()
    script.write_text(SCRIPT.format(python=sys.executable))
    script.chmod(0o755)
    return [str(script), *rest]


def fitted(words: list[str], folder: Path, command: str = MODULE) -> "subprocess.CompletedProcess[str]":
    """A training on two ranks that is started in a folder."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    two = ["--trainer.accelerator", "cpu", "--trainer.devices", "2"]
    return subprocess.run(
        [*way(command, folder), *words, *two],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


RANKS = """
import os
from lightning.pytorch import Callback

class Ranks(Callback):
    def on_train_batch_start(self, trainer, *_):
        # in one piece, as both write to the same pipe
        os.write(1, f"rank {trainer.global_rank} of {trainer.world_size}\\n".encode())
"""


def trained(words: list[str], folder: Path, command: str) -> Path:
    """The run folder that a training of an epoch on two ranks names in the end."""
    (folder / "ranks.py").write_text(RANKS)
    short = ["--trainer.max_epochs", "1", "--trainer.callbacks", "[ranks.Ranks, SelectionRules]"]
    done = fitted([*words, *short, "--model.metrics", "[MTANSemanticMetrics]"], folder, command)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert {line for line in lines if line.startswith("rank")} == {"rank 0 of 2", "rank 1 of 2"}
    assert sum("which epoch counts" in line for line in lines) == 1
    return folder / lines[-1]


@pytest.mark.slow
def test_two_ranks_start_as_the_package_with_a_command_and_share_a_new_folder(
    tiny: list[str], tmp_path: Path
) -> None:
    run = trained(tiny, tmp_path, "python -m fusionseg fit")
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"ranks.py", "runs"}
    assert list((tmp_path / "runs").iterdir()) == [run]
    assert json.loads((run / "summary.json").read_text())["status"] == "finished"
    rules = json.loads((run / "selection_rules.json").read_text())["rules"]
    assert rules["last"]["figures"]["val/miou_mtan"] > 0
    assert rules["best"]["differences"]["val/miou_mtan"] == 0
    names = ["best.ckpt", "last.ckpt"]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == names


@pytest.mark.slow
def test_two_ranks_start_by_the_installed_command_and_leave_folders_alone_that_have_their_name(
    tiny: list[str], tmp_path: Path
) -> None:
    now = time.time()
    # that of each second in which either rank may begin
    names = [time.strftime("%Y%m%d-%H%M%S-synthetic", time.localtime(now + second)) for second in range(120)]
    there = [tmp_path / "runs" / name for name in names]
    for folder in there:
        folder.mkdir(parents=True)
    run = trained(tiny, tmp_path, "fusionseg fit")
    assert run.name.endswith("-synthetic-2")
    assert set((tmp_path / "runs").iterdir()) == {*there, run}
    assert not any(list(folder.iterdir()) for folder in there)
    assert (run / "checkpoints" / "last.ckpt").is_file()


DIES = """
import os, signal
from lightning.pytorch import Callback

class Dies(Callback):
    def on_train_batch_start(self, trainer, *_):
        if trainer.global_rank == 1 and trainer.global_step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_run_with_one_message(tiny: list[str], tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    run = tmp_path / "run"
    done = fitted([*tiny, "--trainer.callbacks", "dies.Dies", "--out", str(run)], tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: rank 0 lost another, which said why or was killed")
    assert "Traceback" not in done.stderr
    assert "Initializing distributed" not in done.stderr
    assert json.loads((run / "summary.json").read_text())["status"] == "failed"
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 2


VOID = """\
from fusionseg.data import SyntheticScenes


class Void(SyntheticScenes):
    def read(self, index):
        pixels = super().read(index)
        return pixels._replace(semantic=pixels.semantic | 255)
"""


@pytest.mark.slow
def test_labels_that_teach_nothing_stop_both_ranks(tiny: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(VOID)
    done = fitted([*tiny, "--data.dataset", "mine.Void", "--data.dataset.length", "8"], tmp_path)
    assert done.returncode == 2
    error = (
        "error: expected semantic labels to train semantic on, found no labelled pixel in 8 training images"
    )
    assert done.stderr.count(error) == 2
    assert not list(tmp_path.glob("runs/*"))
