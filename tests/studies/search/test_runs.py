"""Searches with Optuna itself, against runs that are finished at once."""

import random
from pathlib import Path
from typing import Any

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.results import collect

SAMPLERS = ["RandomSampler", {"class_path": "TPESampler", "init_args": {"seed": 3, "n_startup_trials": 3}}]


def states(trials: Any) -> list[str]:
    return [trial.state.name for trial in trials]


def parameters(trials: Any) -> set[str]:
    return {str(sorted(trial.params.items())) for trial in trials}


def test_every_trial_is_a_variant_that_is_trained_evaluated_and_told_once(searching: Any, fakes: Any) -> None:
    launcher = fakes.launcher()
    progress = searching.run(searching.study(), launcher)
    trials = searching.trials()
    assert (progress.finished, progress.total) == (8, 8)
    assert states(trials) == ["COMPLETE"] * 8
    jobs = [(job.name, job.command) for job in launcher.started]
    assert sorted(jobs) == sorted(
        (f"trial_{number:03d}/0", command) for number in range(8) for command in ("fit", "evaluate")
    )
    results = collect([searching.folder.path])
    for trial in trials:
        [run] = results.of(f"trial_{trial.number:03d}").values()
        assert run.point == trial.params
        assert run.figures["val/score"] == pytest.approx(trial.value)
        assert trial.value == pytest.approx(trial.params["model.beta"] / 10)


# each pair of a seed, a storage and a sampler
@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "kind", "sampler"),
    [
        pytest.param(0, "journal", SAMPLERS[0], id="0-journal-random"),
        pytest.param(1, "journal", SAMPLERS[1], id="1-journal-tpe"),
        pytest.param(0, "sqlite", SAMPLERS[1], id="0-sqlite-tpe"),
        pytest.param(1, "sqlite", SAMPLERS[0], id="1-sqlite-random"),
    ],
)
def test_a_driver_killed_anywhere_repeats_no_trial_and_loses_none(
    seed: int, kind: str, sampler: Any, searching: Any, fakes: Any, tmp_path: Path
) -> None:
    storage = f"sqlite:///{tmp_path}/trials.db" if kind == "sqlite" else ""
    study = searching.study(sampler=sampler, storage=storage)
    chance = random.Random(seed)
    finished: set[tuple[str, str]] = set()
    for _ in range(200):
        launcher = fakes.launcher(dies_after=chance.randrange(1, 25), seed=seed, epochs=2)
        try:
            searching.run(study, launcher)
        except fakes.killed:
            continue
        finally:
            assert not {(job.name, job.command) for job in launcher.started} & finished
            for folder in searching.folder.path.glob("trial_*/0"):
                name = f"{folder.parent.name}/0"
                finished |= {(name, "fit")} if RunFolder(folder).summary.is_file() else set()
                finished |= (
                    {(name, "evaluate")} if RunFolder(folder).evaluated("val", "last").is_file() else set()
                )
        break
    trials = searching.trials(storage)
    assert states(trials) == ["COMPLETE"] * 8
    assert len(parameters(trials)) == 8
    assert len(finished) == 16


def test_a_trial_that_was_drawn_in_part_before_the_driver_died_is_completed(
    searching: Any, monkeypatch: pytest.MonkeyPatch, fakes: Any
) -> None:
    import optuna

    study = searching.study()

    def dies(*_: object) -> None:
        raise fakes.killed

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Trial, "suggest_categorical", dies)
        with pytest.raises(fakes.killed):
            searching.run(study)
    [begun] = searching.trials()
    assert set(begun.params) == {"model.optimizer.init_args.lr", "model.beta"}
    searching.run(study)
    trials = searching.trials()
    assert states(trials) == ["COMPLETE"] * 8
    assert begun.params.items() <= trials[0].params.items()


def test_a_journal_that_ends_within_a_line_goes_on(searching: Any) -> None:
    study = searching.study(trials=3)
    searching.run(study)
    journal = searching.folder.journal("lr")
    with journal.open("a") as file:
        file.write('{"op_code":4,"wor')
    journal.with_name(f"{journal.name}.lock").symlink_to(journal)
    searching.run(searching.study(trials=5))
    assert states(searching.trials()) == ["COMPLETE"] * 5


def test_more_trials_can_be_asked_for_later_and_the_first_ones_stay(searching: Any, fakes: Any) -> None:
    searching.run(searching.study(trials=4))
    before = [trial.params for trial in searching.trials()]
    launcher = fakes.launcher()
    progress = searching.run(searching.study(trials=6), launcher)
    assert [trial.params for trial in searching.trials()][:4] == before
    assert {job.name for job in launcher.started} == {"trial_004/0", "trial_005/0"}
    assert progress.finished == 6


def test_a_trial_is_scored_by_the_mean_over_the_seeds(
    searching: Any, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {0: 0.25, 5: 0.75}
    monkeypatch.setattr(
        "fusionseg.studies.driver.figures",
        lambda run, *_: (
            {"score": figures[int(run.name)]} if RunFolder(run).evaluated("val", "last").is_file() else None
        ),
    )
    progress = searching.run(searching.study(seeds=(0, 5), trials=2))
    assert progress.finished == 4
    assert [trial.value for trial in searching.trials()] == [0.5, 0.5]


def test_a_trial_that_cannot_be_built_fails_with_its_reason_and_the_others_go_on(
    searching: Any, fakes: Any
) -> None:
    resolver = fakes.resolver(lambda words: fakes.value_of(words, "data.batch_size") >= 12)
    progress = searching.run(searching.study(trials=10, sampler="RandomSampler"), resolver=resolver)
    trials = searching.trials()
    large = [trial.params["data.batch_size"] >= 12 for trial in trials]
    assert 0 < sum(large) < 10
    assert states(trials) == ["FAIL" if is_large else "COMPLETE" for is_large in large]
    assert (progress.finished, progress.total) == (10 - sum(large), 10 - sum(large))
    assert len(searching.reported) == sum(large)
    assert all("an impossible combination (model." in line for line in searching.reported)
    assert {t.user_attrs.get("reason") for t in trials} == {None, "an impossible combination"}
    searching.run(searching.study(trials=10, sampler="RandomSampler"))
    assert states(searching.trials()) == states(trials)


def test_a_run_that_fails_is_tried_again_and_then_its_trial_fails(searching: Any, fakes: Any) -> None:
    launcher = fakes.launcher()
    launcher.fails = lambda job: job.name == "trial_001/0"
    progress = searching.run(searching.study(trials=3), launcher)
    assert progress.failed == ["trial_001/0"]
    assert [job.name for job in launcher.started].count("trial_001/0") == 2
    assert states(searching.trials()) == ["COMPLETE", "FAIL", "COMPLETE"]
    again = fakes.launcher()
    searching.run(searching.study(trials=3), again)
    assert not again.started


def test_an_equal_run_is_paid_once(searching: Any, fakes: Any) -> None:
    space = {"model.beta": [0.5, 1.0]}
    launcher = fakes.launcher()
    searching.run(searching.study(space=space, sampler="RandomSampler"), launcher)
    assert states(searching.trials()) == ["COMPLETE"] * 8
    assert [job.command for job in launcher.started].count("fit") == 2


def test_variants_beside_a_search_run_first(searching: Any, fakes: Any) -> None:
    variants = {"plain": {"model.beta": 1.0}}
    launcher = fakes.launcher()
    searching.run(searching.study(trials=2, variants=variants), launcher, slots=1)
    assert [job.name for job in launcher.started[::2]] == ["plain/0", "trial_000/0", "trial_001/0"]
    assert collect([searching.folder.path]).variants == ["plain", "trial_000", "trial_001"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"space": {"model.beta": {"low": 0.1, "high": 5}}},
            r"search: .*space.model.beta: .*4.* before, .*5.* now.*and 1 more",
        ),
        ({"sampler": "RandomSampler"}, r"search: .*sampler: .*TPESampler.* before, .*RandomSampler.* now"),
        ({"objectives": ["val/miou"]}, r"metric: 'val/score' when"),
        ({"pruner": "MedianPruner"}, r"search: .*pruner: None before"),
        ({"seeds": (0, 1)}, r"seeds: \[0\] when the search"),
    ],
)
def test_a_search_that_means_something_else_is_refused_by_its_keys(
    change: dict, message: str, searching: Any
) -> None:
    searching.run(searching.study(trials=2))
    with pytest.raises(UsageError, match=message):
        searching.run(searching.study(trials=2, **change))


def test_before_the_first_trial_everything_may_change(searching: Any, fakes: Any) -> None:
    with pytest.raises(fakes.killed):
        searching.run(
            searching.study(trials=2, variants={"a": {"model.beta": 1.0}}), fakes.launcher(0), slots=1
        )
    assert not searching.trials()
    changed = {"space": {"model.beta": {"low": 0.1, "high": 5}}, "sampler": "RandomSampler"}
    searching.run(searching.study(trials=2, variants={"a": {"model.beta": 1.0}}, **changed))
    assert states(searching.trials()) == ["COMPLETE"] * 2


def test_a_journal_that_is_gone_is_missed(searching: Any) -> None:
    searching.run(searching.study(trials=2))
    searching.folder.journal("lr").unlink()
    with pytest.raises(UsageError, match=r"search.storage: .*lr.journal lacks trials that .* has runs of"):
        searching.run(searching.study(trials=2))


@pytest.mark.slow
def test_folders_that_share_a_database_share_the_trials(tmp_path: Path, searching: Any, fakes: Any) -> None:
    storage = f"sqlite:///{tmp_path}/trials.db"
    study = searching.study(storage=storage, trials=6, sampler="RandomSampler")
    with pytest.raises(fakes.killed):
        searching.run(study, fakes.launcher(dies_after=9))
    (tmp_path / "other").mkdir()
    other = type(searching)(tmp_path / "other")
    other.run(other.study(storage=storage, trials=6, sampler="RandomSampler"))
    [running] = [trial.number for trial in searching.trials(storage) if trial.state.name == "RUNNING"][:1]
    assert not (other.folder.path / f"trial_{running:03d}").exists()
    searching.run(study)
    trials = searching.trials(storage)
    assert states(trials) == ["COMPLETE"] * 6
    assert len(parameters(trials)) == 6


def test_two_objectives_are_told_both(searching: Any) -> None:
    searching.run(searching.study(objectives=["val/miou", "val/voi"], trials=4))
    for trial in searching.trials():
        assert trial.values == [
            pytest.approx(trial.params["model.beta"] / 10),
            pytest.approx(1 - trial.values[0]),
        ]


PRUNER = {"class_path": "MedianPruner", "init_args": {"n_startup_trials": 2, "n_warmup_steps": 1}}


def test_a_hopeless_trial_is_stopped_and_stays_pruned(searching: Any, fakes: Any) -> None:
    study = searching.study(trials=12, pruner=PRUNER, sampler="RandomSampler")
    launcher = fakes.launcher(epochs=6)
    progress = searching.run(study, launcher, slots=1)
    trials = searching.trials()
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    complete = [trial.value for trial in trials if trial.state.name == "COMPLETE"]
    assert pruned
    assert len(pruned) + len(complete) == 12
    assert len(launcher.stopped) == len(progress.pruned) == len(pruned)
    assert all(len(trial.intermediate_values) < 6 for trial in pruned)
    assert min(trial.value for trial in pruned) < max(complete)
    results = collect([searching.folder.path])
    for trial in pruned:
        [run] = results.of(f"trial_{trial.number:03d}").values()
        assert run.status == "pruned"
        assert not run.figures
    again = fakes.launcher()
    searching.run(study, again)
    assert not again.started


def test_a_driver_killed_after_it_gave_a_trial_up_does_not_take_it_up_again(
    searching: Any, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusionseg.studies.search.storage import TrialStorage

    study = searching.study(trials=8, pruner=PRUNER, sampler="RandomSampler")

    def dies(self: object, number: int) -> None:
        raise fakes.killed

    with monkeypatch.context() as patch:
        patch.setattr(TrialStorage, "prune", dies)
        with pytest.raises(fakes.killed):
            searching.run(study, fakes.launcher(epochs=6), slots=1)
    [number] = [trial.number for trial in searching.trials() if trial.state.name == "RUNNING"]
    launcher = fakes.launcher(epochs=6)
    searching.run(study, launcher, slots=1)
    assert searching.trials()[number].state.name == "PRUNED"
    assert f"trial_{number:03d}/0" not in {job.name for job in launcher.started}


def test_all_seeds_of_a_hopeless_trial_and_its_equals_are_given_up(searching: Any, fakes: Any) -> None:
    study = searching.study(
        space={"model.beta": [0.5, 1.0, 2.0, 4.0]},
        seeds=(0, 1),
        trials=16,
        pruner={"class_path": "MedianPruner", "init_args": {"n_startup_trials": 2}},
        sampler="RandomSampler",
    )
    launcher = fakes.launcher(epochs=6)
    progress = searching.run(study, launcher, slots=3)
    trials = searching.trials()
    assert set(states(trials)) == {"COMPLETE", "PRUNED"}
    ends: dict[float, set[str]] = {}
    for trial in trials:
        ends.setdefault(trial.params["model.beta"], set()).add(trial.state.name)
    assert all(len(end) == 1 for end in ends.values())
    results = collect([searching.folder.path])
    for trial in trials:
        runs = results.of(f"trial_{trial.number:03d}").values()
        if trial.state.name == "PRUNED":
            assert "pruned" in {run.status for run in runs}
        else:
            assert {run.status for run in runs} == {"finished"}
    assert progress.finished == 2 * states(trials).count("COMPLETE")
    again = fakes.launcher()
    searching.run(study, again)
    assert not again.started
