import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import wandb

from fusionseg.commands import evaluate
from fusionseg.commands.fit import main
from fusionseg.module import FusionModule
from fusionseg.runs import wandb_logger as tracking
from fusionseg.runs.wandb_logger import RunLogger, mode, wandb_logger

WandbRecords: TypeAlias = Callable[[Path], list[Any]]

KEY = "a" * 40


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without credentials, and a server that nobody runs."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tracking, "_server", lambda: "http://127.0.0.1:9")


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that takes connections and never answers, which is W&B's from now on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv("WANDB_BASE_URL", address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setattr(tracking, "_server", lambda: address)
        wandb.teardown()  # it reads these once a process
        yield address
    wandb.teardown()


def test_wandb_mode_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_logger(tmp_path) is None
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert mode() == ("offline", "as asked")
    monkeypatch.setenv("WANDB_MODE", "sideways")
    with pytest.raises(ValueError, match="one of online, offline, disabled, found 'sideways'"):
        mode()


def test_without_credentials_it_is_offline() -> None:
    assert mode() == ("offline", "no credentials")


def test_with_credentials_it_is_online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert mode() == ("online", "")
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login user password {KEY}")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert mode() == ("online", "")


def test_online_on_demand_needs_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(ValueError, match="cannot be online: no credentials; mend that"):
        mode()
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert mode() == ("online", "")


@pytest.mark.slow
def test_a_server_that_never_answers_makes_a_run_offline_and_training_goes_on(
    silent_server: str,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tracking, "PATIENCE", 1.0)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    begin = time.monotonic()
    main([*tiny, "--trainer.max_epochs", "1", "--out", str(tmp_path / "run")])
    assert time.monotonic() - begin < 30
    notices = [line for line in capsys.readouterr().err.splitlines() if line.startswith("W&B: offline")]
    assert len(notices) == 1
    assert silent_server in notices[0]
    assert "upload later with" in notices[0]
    assert len(list((tmp_path / "run" / "wandb").glob("offline-run-*"))) == 1


@pytest.mark.usefixtures("silent_server")
def test_a_server_that_was_asked_for_and_never_answers_is_an_error_and_nothing_is_left(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "PATIENCE_IF_ASKED", 1.0)
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(
        ValueError, match=r"^W&B cannot be online: .+; mend that .*--wandb offline$"
    ) as raised:
        main([*tiny, "--out", str(tmp_path / "run")])
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_server_that_refuses_the_run_makes_it_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    class Run:
        id = "abc"

        def define_metric(self, *_: Any, **__: Any) -> None:
            pass

        def finish(self, exit_code: int) -> None:
            tried.append(f"exit {exit_code}")

    def init(**options: Any) -> Run:
        tried.append(options["mode"])
        if options["mode"] == "online":
            raise wandb.errors.CommError("no such user")
        return Run()

    monkeypatch.setattr(wandb, "init", init)
    logger = RunLogger(tmp_path / "run", "")
    assert logger.notice == ""
    assert logger.experiment.id == "abc"
    logger.finalize("failed")
    assert tried == ["online", "offline", "exit 1"]
    assert logger.notice == (
        f"W&B: offline (no such user); upload later with `wandb sync {tmp_path}/run/wandb/offline-run-*`"
    )


@pytest.mark.slow
def test_offline_runs_hold_pictures_and_the_best_epoch_and_are_continued(
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wandb_records: WandbRecords,
) -> None:
    monkeypatch.setenv("WANDB_TAGS", "one,two")
    monkeypatch.setenv("WANDB_RUN_GROUP", "study")
    monkeypatch.setenv("WANDB_MODE", "offline")  # so that it is undone
    wandb.teardown()  # it reads these once a process
    run = tmp_path / "run"
    main([*tiny, "--wandb", "offline", "--out", str(run)])
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == str(run)
    assert (
        f"W&B: offline (as asked); upload later with `wandb sync {run}/wandb/offline-run-*`"
        in err.splitlines()
    )
    told = json.loads((run / "summary.json").read_text())
    evaluate.main(["--run", str(run), "--split", "test", "--pictures", "0", "--wandb", "offline"])
    tested = json.loads((run / "evaluation" / "test.json").read_text())["metrics"]

    wandb.teardown()  # its own process writes a little later
    written = wandb_records(run)
    opened = [r.run for r in written if r.HasField("run")]
    assert {r.run_id for r in opened} == {told["wandb"]["id"]}
    assert (len(opened), opened[0].run_group, list(opened[0].tags)) == (2, "study", ["one", "two"])
    axes = {r.metric.glob_name: r.metric.step_metric for r in written if r.HasField("metric")}
    assert (axes["val/*"], axes["train/*"]) == ("epoch", "trainer/global_step")
    updates = (i for r in written if r.HasField("summary") for i in r.summary.update)
    last = {".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in updates}
    assert last["val/score"] == told["best"]["metrics"]["val/score"]
    assert last["best/epoch"] == told["best"]["epoch"]
    assert last["test/miou"] == tested["miou"]
    assert "semantic prediction" in last["val/pictures.all_masks"][0]
    assert "region truth" in last["val/pictures.all_masks"][0]
    assert last["val/confusion._type"] == last["test/confusion._type"] == "image-file"
    assert last["val/per_class.nrows"] == last["test/per_class.nrows"] == 6
    settings = (i for r in written if r.HasField("config") for i in r.config.update if i.key)
    config = {i.key: json.loads(i.value_json) for i in settings}
    assert config["model"]["init_args"]["alpha"] == 1.0
    assert config["classes"][0] == "sky"
    assert {"commit", "dirty"} <= config.keys()


@pytest.mark.slow
@pytest.mark.parametrize("step_of_end", [2, 3])
def test_offline_a_run_that_was_stopped_or_broke_and_was_resumed_is_one_and_has_every_step_once(
    step_of_end: int,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wandb_records: WandbRecords,
) -> None:
    """A signal in step 2 is answered with a checkpoint; where step 3 fails, the last one is of step 2."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb.teardown()  # it reads these once a process
    step, run = FusionModule.training_step, tmp_path / "run"

    def asked(module: FusionModule, *args: Any) -> Any:
        if module.global_step == step_of_end == 2:
            signal.raise_signal(signal.SIGTERM)
        if module.global_step == step_of_end == 3:
            raise RuntimeError("broken")
        return step(module, *args)

    with monkeypatch.context() as patch:
        patch.setattr(FusionModule, "training_step", asked)
        with pytest.raises(SystemExit if step_of_end == 2 else RuntimeError, match=r"143|broken"):
            main([*tiny, "--trainer.log_every_n_steps", "1", "--out", str(run)])
    main(["--resume", str(run)])
    wandb.teardown()  # its own process writes a little later

    folders = sorted((run / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    told = json.loads((run / "summary.json").read_text())
    assert {folder.name.split("-")[-1] for folder in folders} == {told["wandb"]["id"]}
    written = wandb_records(run)
    assert [r.run.run_id for r in written if r.HasField("run")] == [told["wandb"]["id"]] * 2
    logged = (r.history.item for r in written if r.HasField("history"))
    rows = [{".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items} for items in logged]
    for key, axis, expected in (
        ("train/loss", "trainer/global_step", range(1, 5)),
        ("val/score", "epoch", range(2)),
        ("val/pictures", "epoch", range(2)),
    ):
        found = [row[axis] for row in rows if any(name.startswith(key) for name in row)]
        assert found == list(expected), key
