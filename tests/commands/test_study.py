from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fusionseg.commands import study
from fusionseg.commands.study import divided, main, options
from fusionseg.config.errors import UsageError, UserError
from fusionseg.studies import collect, load, speed
from fusionseg.studies.folder import StudyFolder


def test_settings_of_all_runs_are_told_from_the_command_s_own() -> None:
    words = ["s.yaml", "--out=o", "--data.dataset.root", "a b", "--model.alpha=0.5", "--jobs", "2"]
    own, settings = divided(words)
    assert own == ["s.yaml", "--out=o", "--jobs", "2"]
    assert settings == {"data.dataset.root": "a b", "model.alpha": 0.5}


def test_flags_may_have_hyphens_and_switches_no_value() -> None:
    given = options(["s.yaml", "--out", "o", "--gpus-per-run", "0.5", "--dry-run"])
    assert (given.file, given.gpus_per_run, given.dry_run) == (Path("s.yaml"), 0.5, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["s.yaml"], "out"),
        (["s.yaml", "--out", "o", "--job", "2"], "jobs"),
        (["s.yaml", "--out", "o", "--jobs", "two"], "jobs"),
        (["s.yaml", "--out", "o", "--model.alpha"], "model.alpha: expected a value"),
        (["nothing.yaml", "--out", "o"], "nothing.yaml: expected a configuration file"),
    ],
)
def test_what_is_no_command_is_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        main(words)


def test_failed_runs_are_reported_with_the_ends_of_their_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = [f"a/{seed}" for seed in range(4)]
    monkeypatch.setattr(study, "_run", lambda *_: (failed, 9))
    log = StudyFolder(tmp_path).log("a/0")
    log.parent.mkdir()
    log.write_text("...\nRuntimeError: out of memory\n")
    with pytest.raises(UserError, match=r"^4 of 9 runs failed; their logs: \S+a-0.log, .*a-3.log$"):
        main(["s.yaml", "--out", str(tmp_path)])
    said = capsys.readouterr().err
    assert f"{log} ends with:\n...\nRuntimeError: out of memory\n" in said
    assert said.count("ends with") == 3


@pytest.mark.slow
@pytest.mark.usefixtures("resolved_here")
def test_a_study_from_its_file_to_its_table(
    tmp_path: Path,
    study_file: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measure, measured = speed.seconds_per_step, list[float]()

    def once(arguments: Sequence[str], steps: int) -> float:
        """Starts a process of a few steps for the first variant alone."""
        measured.extend([] if measured else [measure(arguments, steps=2)])
        return measured[0]

    monkeypatch.setattr(speed, "seconds_per_step", once)
    variants = {"joint": {}, "broken": {"model.region_head": "no_such_package.Head"}}
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"variant 'broken': .*no_such_package"):
        main([str(study_file(variants=variants)), "--out", str(out)])
    assert not out.exists() or not any(out.glob("*/0"))
    good = study_file(variants={"joint": {}, "single": {"model.region_head": None}}, reference="joint")
    main([str(good), "--out", str(out), "--dry-run"])
    assert "2 of 2 runs left" in capsys.readouterr().out
    assert measured[0] > 0
    main([str(good), "--out", str(out), "--jobs", "2", "--final", "single"])
    assert "2 of 2 runs" in capsys.readouterr().err
    results = collect([out])
    assert {run.status for run in results.runs} == {"finished"}
    assert [any(name.startswith("test/") for name in run.figures) for run in results.runs] == [False, True]
    declared = StudyFolder(out).declared()
    assert declared["final"] == ["single"]
    assert declared["command"] == f"python -m fusionseg study {good} --out {out} --jobs 2 --final single"
    table = load(out)
    assert list(table["variant"]) == ["joint", "single"]
    assert table["val/miou"].between(0, 1).all()
    changed = study_file(variants={"joint": {"model.beta": 2.0}, "single": {"model.region_head": None}})
    with pytest.raises(
        UserError, match=r"variant 'joint' is not what began .*model.beta: 1.0 before, 2.0 now"
    ):
        main([str(changed), "--out", str(out)])
