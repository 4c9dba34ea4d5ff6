from dataclasses import replace
from typing import Any

import pytest

from fusionseg.runs.folder import RunFolder
from fusionseg.studies.search.workload import search_workload


def test_the_time_is_measured_in_the_middle_of_the_space_and_then_that_of_finished_runs(
    searching: Any, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def measured(words: list[str], steps: int) -> float:
        asked.append(words)
        return 12.0

    monkeypatch.setattr("fusionseg.studies.speed.seconds_per_step", measured)
    study = searching.study(seeds=(0, 1), trials=10)
    text = search_workload(searching.plan(study), searching.folder, 2, fakes.resolver(), lambda _: None)
    assert (
        text.splitlines()[0]
        == "model.optimizer.init_args.lr: {low: 0.0001, high: 0.01, log: true, step: null}"
    )
    assert text.splitlines()[-2] == "1 min 00 s a run, in the middle of the space: training alone"
    assert (
        text.splitlines()[-1]
        == "10 of 10 trials left, 2 runs each, and 0 runs of others: 10 min 00 s, 2 at once; 0.0 GiB of checkpoints"
    )
    assert fakes.value_of(asked[0], "model.optimizer.init_args.lr") == pytest.approx(1e-3)
    searching.run(searching.study(seeds=(0, 1), trials=4))
    plan = searching.plan(searching.study(seeds=(0, 1), trials=6))
    text = search_workload(plan, searching.folder, 1, fakes.resolver(), lambda _: None)
    assert text.splitlines()[-2] == "0 min 30 s a run, the mean of finished runs"
    assert (
        text.splitlines()[-1]
        == "2 of 6 trials left, 2 runs each, and 0 runs of others: 2 min 00 s, 1 at once; 0.0 GiB of checkpoints"
    )
    assert len(asked) == 1


def test_runs_that_are_known_have_their_commands_and_all_have_their_disk(
    searching: Any, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fusionseg.studies.speed.seconds_per_step", lambda _: 12.0)
    searching.run(searching.study(trials=3))
    study = searching.study(trials=4, variants={"plain": {}})
    RunFolder(searching.folder.path / "trial_001/0").evaluated("val", "last").unlink()
    RunFolder(searching.folder.path / "trial_002/0").evaluated("val", "last").unlink()
    plan = searching.plan(study)
    pruned = next(run["key"] for run in plan.trial_runs if run["variant"] == "trial_002")
    searching.folder.write_record(pruned, {"status": "pruned"})
    plan = replace(plan, point={**plan.point, "parameters": 2**28})
    lines = search_workload(plan, searching.folder, 1, fakes.resolver(), lambda _: None).splitlines()
    commands = [line.split(":")[0] for line in lines if "python -m fusionseg.fit" in line]
    assert commands == ["plain/0", "trial_001/0"]
    assert lines[-1].startswith("1 of 4 trials left, 1 run each, and 2 runs of others: ")
    assert lines[-1].endswith("; 6.0 GiB of checkpoints")
