"""Ray's launcher against a module that keeps what is given to it."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.studies.launcher import Job
from fusionseg.studies.ray_launcher import LOST, RayLauncher


class FakeRayError(Exception):
    pass


class FakeRay(ModuleType):
    """A cluster of one node; `results` are the exit codes of tasks, or what went wrong."""

    exceptions = SimpleNamespace(RayError=FakeRayError)

    def __init__(self) -> None:
        super().__init__("ray")
        self.resources = {"CPU": 8.0, "GPU": 2.0}
        self.options: dict[str, Any] = {}
        self.given: list[Any] = []
        self.results: dict[int, Any] = {}
        self.canceled: list[int] = []
        self.connections: list[Any] = []

    def init(self, address: str | None, **_: Any) -> None:
        if address == "nowhere:1":
            raise ConnectionError("no cluster at nowhere:1")
        self.connections.append(address)

    def shutdown(self) -> None:
        self.connections.pop()

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": self.resources}, {"Alive": False, "Resources": {"CPU": 99.0}}]

    def remote(self, **options: Any) -> Any:
        self.options = options

        def give(process: Any) -> int:
            self.given.append(process)
            return len(self.given) - 1

        return lambda _: SimpleNamespace(remote=give)

    def wait(self, references: list[int], timeout: float) -> tuple[list[int], list[int]]:
        return [number for number in references if number in self.results][:1], []

    def get(self, reference: int) -> int:
        if isinstance(self.results[reference], Exception):
            raise self.results[reference]
        return int(self.results[reference])

    def cancel(self, reference: int) -> None:
        self.canceled.append(reference)
        self.results[reference] = FakeRayError("canceled")


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    return fake


def job(folder: Path, name: str = "a/0") -> Job:
    return Job(name, "fit", ["--out", name], folder / "logs" / "log.log")


@pytest.mark.parametrize(
    ("cpus", "gpus", "resources", "expected"),
    [
        (None, None, {"CPU": 8.0, "GPU": 2.0}, (4, 1.0)),
        (None, None, {"CPU": 8.0}, (1, 0.0)),
        (2, 0.5, {"CPU": 8.0, "GPU": 2.0}, (2, 0.5)),
        (None, 0.0, {"CPU": 8.0, "GPU": 2.0}, (1, 0.0)),
    ],
)
def test_resources_are_asked_of_ray_which_starts_no_task_again(
    cpus: int | None,
    gpus: float | None,
    resources: dict[str, float],
    expected: tuple[int, float],
    ray: FakeRay,
    tmp_path: Path,
) -> None:
    ray.resources = resources
    RayLauncher(cpus, gpus).start(job(tmp_path))
    assert ray.options == {"num_cpus": expected[0], "num_gpus": expected[1], "max_retries": 0}
    assert ray.given[0].environment["OMP_NUM_THREADS"] == str(expected[0])


def test_exit_codes_come_by_the_names_of_jobs(ray: FakeRay, tmp_path: Path) -> None:
    launcher = RayLauncher()
    launcher.start(job(tmp_path, "a/0"))
    launcher.start(job(tmp_path, "b/0"))
    assert launcher.ended(0) == {}
    ray.results[1] = 138
    assert launcher.ended(0) == {"b/0": 138}
    assert launcher.ended(0) == {}


def test_a_task_whose_node_is_lost_ends_with_a_reason(ray: FakeRay, tmp_path: Path) -> None:
    launcher = RayLauncher()
    launcher.start(job(tmp_path))
    ray.results[0] = FakeRayError("the node\nis gone")
    assert launcher.ended(0) == {"a/0": LOST}
    assert (tmp_path / "logs" / "log.log").read_text() == "FakeRayError: the node is gone\n"


def test_only_the_job_that_is_named_is_stopped(ray: FakeRay, tmp_path: Path) -> None:
    launcher = RayLauncher()
    launcher.start(job(tmp_path, "a/0"))
    launcher.start(job(tmp_path, "b/0"))
    launcher.stop("b/0")
    assert ray.canceled == [1]


def test_closing_stops_all_and_leaves_the_cluster_which_may_be_joined_again(
    ray: FakeRay, tmp_path: Path
) -> None:
    launcher = RayLauncher(address="head:6379")
    launcher.close()
    launcher.start(job(tmp_path, "a/0"))
    assert ray.connections == ["head:6379"]
    launcher.close()
    assert ray.canceled == [0]
    assert ray.connections == []
    launcher.start(job(tmp_path, "a/0"))
    assert ray.connections == ["head:6379"]


def test_a_cluster_that_cannot_be_reached_is_one_line(ray: FakeRay, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ray-address: no Ray cluster can be reached: no cluster at"):
        RayLauncher(address="nowhere:1").start(job(tmp_path))
    assert ray.connections == []


def test_a_run_that_no_node_has_room_for_is_said(
    ray: FakeRay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RayLauncher(cpus=16).start(job(tmp_path))
    assert "no node of the Ray cluster has 16 CPUs and 1 GPUs yet" in capsys.readouterr().err
