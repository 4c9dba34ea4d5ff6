"""`python -m fusionseg.studies.fork_server`: has imported all that a run needs, and is forked for each one.

It computes nothing itself, so that no thread and no device is open when it forks. Requests come in and
reports go out as lines of JSON. When its input ends, as when the driver dies, it stops its runs; when it dies
itself, the system does that.
"""

import ctypes
import importlib
import json
import os
import select
import signal
import sys
from contextlib import suppress
from typing import Any

from fusionseg.config.imports import uncollected

PARTS = ("commands.fit", "commands.evaluate")
PR_SET_PDEATHSIG = 1
LIBC: Any = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Has the system end this process with SIGTERM when the one that started it dies."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def import_all() -> None:
    """Imports what every run needs, but not wandb, which timm would import.

    At its import wandb makes a temporary folder for pictures, which the first run that ends would remove for
    all others. A run that is tracked imports it itself.
    """
    modules: dict[str, Any] = sys.modules
    modules["wandb"] = None
    try:
        with uncollected():
            for part in PARTS:
                importlib.import_module(f"fusionseg.{part}")
            importlib.import_module("segmentation_models_pytorch")
    finally:
        del modules["wandb"]


def _serve() -> dict[str, Any] | None:
    """Forks for every request; returns the request in the child, and None in the server when it is done."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    running: dict[int, str] = {}
    rest = b""
    _report({"ready": os.getpid()})
    while True:
        readable = select.select([0, wake], [], [])[0]
        if wake in readable:
            os.read(wake, 4096)
        _reap(running)
        if 0 not in readable:
            continue
        if not (read := os.read(0, 1 << 16)):
            break
        *lines, rest = (rest + read).split(b"\n")
        for request in map(json.loads, lines):
            if "stop" in request:
                _stop([pid for pid, name in running.items() if request["stop"] == name])
            elif (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                os.close(wake)
                os.close(woken)
                return dict(request)
            else:
                running[pid] = request["id"]
    _stop(list(running))
    for pid in running:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return None


def _reap(running: dict[int, str]) -> None:
    """Reports the processes that ended."""
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _report({"id": running.pop(pid), "code": os.waitstatus_to_exitcode(status)})


def _stop(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _report(content: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):
        os.write(1, json.dumps(content).encode() + b"\n")


def _run(request: dict[str, Any]) -> None:
    """Becomes the process of a run: its own session, output, environment and cores."""
    server = os.getppid()
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.default_int_handler)
    die_with_parent()
    if os.getppid() != server:  # it died before that
        sys.exit(1)
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(request["environment"])
    if cores := request["cores"]:
        os.sched_setaffinity(0, cores)
    import torch

    torch.set_num_threads(max(1, request["threads"]))
    command = request["command"]
    module = importlib.import_module(f"fusionseg.{command}")
    sys.argv = [str(module.__file__), *request["arguments"]]
    # by which Lightning starts further ranks
    sys.modules["__main__"].__spec__ = module.__spec__
    from fusionseg.cli.entry import run

    run(command, request["arguments"])


if __name__ == "__main__":
    import_all()
    asked = _serve()
    if asked is not None:
        _run(asked)
