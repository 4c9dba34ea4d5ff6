"""The arguments of `fusionseg demo`; tests/demo opens the page."""

import socket
from pathlib import Path

import pytest

from fusionseg.commands.demo import main, options
from fusionseg.config.errors import UsageError
from fusionseg.demo import server


def test_the_page_is_on_one_port_and_not_shared_unless_asked() -> None:
    given = options(["--run", "runs/camvid"])
    assert (given.run, given.port, given.share) == (Path("runs/camvid"), 7860, False)
    given = options(["--checkpoint", "best.ckpt", "--port", "80", "--share"])
    assert (given.checkpoint, given.port, given.share) == (Path("best.ckpt"), 80, True)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "expected --run or --checkpoint, found neither"),
        (["--run", "a", "--checkpoint", "b"], "expected --run or --checkpoint, found both"),
        (["--run", "a", "--port", "0"], "port: expected a port from 1 to 65535, found 0"),
    ],
)
def test_wrong_arguments_are_one_line(args: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        main(args)


def test_without_gradio_the_error_is_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r'the page needs gradio: pip install "fusionseg\[demo\]"'):
        main(["--run", "a"])


def test_a_port_in_use_is_named_before_the_model_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda _: True)
    with socket.socket() as taken:
        taken.bind((server.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageError, match=f"expected a free port, found {port}: .*; choose another with --port"
        ):
            main(["--run", "no such run", "--port", str(port)])


def test_the_device_is_torch_s(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda _: True)
    with pytest.raises(UsageError, match="device: expected a device of torch's that is there, found toaster"):
        main(["--run", str(trained), "--device", "toaster"])
