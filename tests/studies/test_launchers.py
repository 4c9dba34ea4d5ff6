import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.config.errors import UsageError
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.launchers import check_left, launcher, slots_for, stoppable
from fusionseg.studies.local_launcher import LocalLauncher
from fusionseg.studies.slots import Slot
from fusionseg.studies.slurm_launcher import SlurmLauncher
from fusionseg.studies.slurm_records import SlurmRecord, SlurmRecords


@pytest.fixture
def srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that looks as if it belonged to a SLURM cluster."""
    pytest.importorskip("submitit")
    command = tmp_path / "bin" / "srun"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)


def script(folder: Path, **given: Any) -> str:
    """What submitit gives to sbatch."""
    made = launcher("slurm", StudyFolder(folder), **given)
    assert isinstance(made, SlurmLauncher)
    made.executor.update_parameters(job_name="n")
    text: str = made.executor._make_submission_file_text("command", "id")
    return text


def test_by_default_runs_are_computed_here(tmp_path: Path) -> None:
    assert isinstance(launcher("local", StudyFolder(tmp_path)), LocalLauncher)


@pytest.mark.usefixtures("srun")
def test_a_run_in_slurm_has_one_gpu_four_cores_and_the_partition_s_time(tmp_path: Path) -> None:
    text = script(tmp_path)
    assert "#SBATCH --gpus-per-node=1\n" in text
    assert "#SBATCH --cpus-per-task=4\n" in text
    assert "#SBATCH --no-requeue\n" in text
    assert "#SBATCH --signal=USR2@" in text
    assert "--time" not in text


@pytest.mark.usefixtures("srun")
def test_numbers_and_parameters_reach_sbatch(tmp_path: Path) -> None:
    more = {"licenses": "data:1"}
    given = {"slurm_partition": "gpu", "timeout_min": 90, "account": "a b", "additional_parameters": more}
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(given))
    for slurm in (given, file):
        lines = script(tmp_path, gpus=2.0, cpus=6, slurm=slurm).splitlines()
        for expected in (
            "--gpus-per-node=2",
            "--cpus-per-task=6",
            "--partition=gpu",
            "--time=90",
            "--account='a b'",
            "--licenses=data:1",
            "--no-requeue",
        ):
            assert f"#SBATCH {expected}" in lines
    assert "--gpus" not in script(tmp_path, gpus=0.0)
    assert "#SBATCH --cpus-per-task=1\n" in script(tmp_path, gpus=0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"kind": "slurm", "gpus": 0.5},
            "gpus-per-run: SLURM shares no GPU: expected a whole number, found 0.5",
        ),
        ({"kind": "slurm", "gpus": -1.0}, "gpus-per-run: expected a fraction or a whole number"),
        ({"kind": "ray", "gpus": 1.5}, "gpus-per-run: expected a fraction or a whole number"),
        ({"kind": "slurm", "cpus": 0}, "cpus-per-run: expected at least 1, found 0"),
        ({"kind": "slurm", "slurm": {"partitoin": "gpu"}}, "slurm: Unavailable parameter.*partitoin"),
        ({"kind": "slurm", "slurm": {"nodes": 2}}, "slurm.nodes: the launcher decides that"),
        (
            {"kind": "slurm", "slurm": {"additional_parameters": 3}},
            "additional_parameters: expected a mapping",
        ),
        ({"kind": "slurm", "slurm": Path("none.yaml")}, "none.yaml: expected a configuration file"),
        (
            {"kind": "slurm", "address": "auto"},
            "ray-address: expected only with --launcher ray, found with slurm",
        ),
        ({"kind": "ray", "slurm": {"partition": "gpu"}}, "slurm: expected only with --launcher slurm"),
        ({"kind": "local", "cpus": 2}, "cpus-per-run: expected only with --launcher slurm or ray"),
    ],
)
@pytest.mark.usefixtures("srun")
def test_what_a_launcher_cannot_use_is_one_line(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as error:
        launcher(folder=StudyFolder(tmp_path), **given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("kind", "module"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_package_is_one_line_that_installs_it(
    kind: Any, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf'^launcher: .*: pip install "fusionseg\[{kind}\]"$'):
        launcher(kind, StudyFolder(tmp_path))


def test_a_machine_that_submits_nothing_to_slurm_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="launcher: expected a machine that submits to SLURM"):
        launcher("slurm", StudyFolder(tmp_path))


def test_on_a_cluster_all_runs_may_wait_and_fewer_if_it_is_said() -> None:
    assert slots_for("slurm", None, None) == []
    assert slots_for("ray", 3, 0.5) == [Slot()] * 3
    with pytest.raises(UsageError, match="jobs: expected at least 1, found 0"):
        slots_for("slurm", 0, None)


def test_no_other_launcher_repeats_what_slurm_may_still_run(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    check_left("local", folder)
    SlurmRecords(folder.slurm).write("a/0", SlurmRecord("n", "fit"))
    check_left("slurm", folder)
    with pytest.raises(UsageError, match="left 1 jobs in SLURM: go on with --launcher slurm"):
        check_left("local", folder)


def test_a_sigterm_ends_the_block_with_its_exit_code() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"), stoppable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_sigterm_keeps_its_exit_code_where_a_library_changes_it() -> None:
    def wait() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except SystemExit:
            raise SystemExit(1) from None

    with pytest.raises(SystemExit, match="143"), stoppable():
        wait()


def test_nothing_of_a_cluster_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys\nfrom fusionseg.studies.folder import StudyFolder\n"
        "from fusionseg.studies.launchers import launcher\nlauncher('local', StudyFolder('none'))\n"
        "print({'ray', 'submitit'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
