from typing import Any

import pytest

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
        == "10 of 10 trials left, 2 runs each, and 0 runs of others: 10 min 00 s, 2 at once"
    )
    assert fakes.value_of(asked[0], "model.optimizer.init_args.lr") == pytest.approx(1e-3)
    searching.run(searching.study(seeds=(0, 1), trials=4))
    plan = searching.plan(searching.study(seeds=(0, 1), trials=6))
    text = search_workload(plan, searching.folder, 1, fakes.resolver(), lambda _: None)
    assert text.splitlines()[-2] == "0 min 30 s a run, the mean of finished runs"
    assert (
        text.splitlines()[-1]
        == "2 of 6 trials left, 2 runs each, and 0 runs of others: 2 min 00 s, 1 at once"
    )
    assert len(asked) == 1
