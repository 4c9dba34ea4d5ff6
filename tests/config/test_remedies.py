import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn

from fusionseg.cli.entry import guarded
from fusionseg.config.errors import UsageError
from fusionseg.config.remedies import remedied

HUGE = 2**55


def crashed(act: Callable[[], object]) -> Exception:
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("expected an error")


@pytest.mark.parametrize(
    ("act", "wanted"),
    [
        (lambda: torch.empty(HUGE), "134217728.00 GiB"),
        (lambda: np.empty(HUGE, np.uint8), "32.0 PiB"),
        (lambda: bytearray(HUGE), ""),
    ],
)
def test_too_little_memory_is_one_line_that_says_what_to_lower(
    act: Callable[[], object], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        guarded(lambda _: act() and None, [])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: out of memory")
    assert f"{wanted} more were wanted" in lines[0] or not wanted
    assert "lower data.batch_size or data.crop_size" in lines[0]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of"
        ),
        RuntimeError(
            "Caught RuntimeError in DataLoader worker process 0.\n  DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_all_ways_to_report_too_little_memory_are_known(error: Exception) -> None:
    assert str(remedied(error)).startswith("out of memory")
    assert ("2.50 GiB more were wanted" in str(remedied(error))) == ("2.50" in str(error))


def test_a_batch_of_one_image_names_the_batch_size() -> None:
    error = crashed(lambda: nn.BatchNorm2d(3)(torch.zeros(1, 3, 1, 1)))
    found = remedied(error)
    assert isinstance(found, UsageError)
    assert found.key == "data.batch_size"
    assert found.reason.startswith("expected 2 or more images on each device, since BatchNorm cannot")


def test_crops_that_are_too_small_for_a_decoder_name_their_size() -> None:
    errors = [
        crashed(lambda: nn.MaxPool2d(2, 2)(torch.zeros(1, 1, 1, 1))),
        crashed(lambda: nn.Conv2d(3, 1, 5)(torch.zeros(1, 3, 4, 4))),
    ]
    assert [str(remedied(error)).partition(":")[0] for error in errors] == ["data.crop_size"] * 2


@pytest.mark.parametrize("words", ["Input height", "Input image height"])  # of Swin, of Swin v2 CR
def test_an_encoder_for_images_of_one_size_names_the_option(words: str) -> None:
    found = remedied(AssertionError(f"{words} (128) doesn't match model (224)."))
    assert isinstance(found, UsageError)
    assert found.key == "model.backbone.options"


def test_a_folder_whose_path_is_too_long_for_sockets_is_named() -> None:
    def bound() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("/tmp/" + 200 * "x")

    found = remedied(crashed(bound))
    assert isinstance(found, UsageError)
    assert (found.key, "TMPDIR=/tmp" in found.reason) == ("TMPDIR", True)


def test_a_figure_that_a_callback_waits_for_in_vain_is_named_with_its_setting() -> None:
    trainer: Any = SimpleNamespace(callback_metrics={"val/score": torch.tensor(0.5)}, fast_dev_run=False)
    callback = EarlyStopping("val/nope")
    found = remedied(crashed(lambda: callback._run_early_stopping_check(trainer)))
    assert isinstance(found, UsageError)
    assert found.key == "trainer.callbacks.monitor"
    assert "`val/nope`" in found.reason
    message = (
        "`ModelCheckpoint(monitor='val/nope')` could not find the monitored key in the returned metrics: []"
    )
    assert "monitor='val/nope'" in str(remedied(MisconfigurationException(message)))


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), KeyError("window"), ValueError("expected more than 1 value")]
)
def test_other_errors_are_left_as_they_are(error: Exception) -> None:
    assert remedied(error) is None


def test_an_error_that_says_what_to_do_is_left_as_it_is() -> None:
    assert remedied(UsageError("out of memory", "data.cache")) is None
