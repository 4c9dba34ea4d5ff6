import os
from pathlib import Path

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.studies.slots import Slot, devices, slots


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("visible", "jobs", "per_run", "groups"),
    [
        ("0,1,2,3", None, None, [("0",), ("1",), ("2",), ("3",)]),
        ("0,1,2,3", None, 2, [("0", "1"), ("2", "3")]),
        ("0,1,2", None, 2, [("0", "1")]),
        ("4,GPU-ab", None, 0.5, [("4",), ("GPU-ab",), ("4",), ("GPU-ab",)]),
        ("0", 2, 0.25, [("0",), ("0",)]),
        ("0,1,2,3", 2, 0.5, [("0",), ("1",)]),
        ("0", 8, None, [("0",)]),
        ("", 3, None, [None, None, None]),
        ("0,1", 2, 0, [(), ()]),
    ],
)
@pytest.mark.usefixtures("cores")
def test_devices_are_handed_out(
    visible: str, jobs: int | None, per_run: float | None, groups: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = slots(jobs, per_run)
    assert [slot.devices for slot in found] == groups


@pytest.mark.usefixtures("cores")
def test_a_run_without_devices_sees_none_and_ranks_share_their_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    assert slots(2, 0)[0].environment == {"OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": ""}
    pair = slots(None, 2)[0]
    assert pair.environment == {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0,1"}
    assert (pair.processes, slots(2, 0)[0].processes) == (2, 1)
    assert Slot().environment == {}  # of a cluster, which hands out its devices


@pytest.mark.usefixtures("cores")
def test_cores_are_divided_without_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = slots(3)
    assert sorted(core for slot in found for core in slot.cores) == list(range(8))
    assert found[0].environment["OMP_NUM_THREADS"] == "3"
    assert len(slots()) == 4
    assert all(len(slot.cores) == 1 for slot in slots(12))


@pytest.mark.parametrize(
    ("jobs", "per_run", "message"),
    [
        (None, 3, "gpus-per-run: expected at most the 2 GPUs"),
        (None, 1.5, "gpus-per-run: expected a fraction or a whole number"),
        (None, -1, "gpus-per-run: expected a fraction"),
        (-2, None, "jobs: expected at least 1"),
        (0, None, "jobs: expected at least 1"),
    ],
)
@pytest.mark.usefixtures("cores")
def test_what_the_machine_does_not_have_is_refused(
    jobs: int | None, per_run: float | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(UsageError, match=message):
        slots(jobs, per_run)


def test_devices_are_counted_without_opening_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-1)'\necho 'GPU 1: A (UUID: GPU-2)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices() == ["0", "1"]
