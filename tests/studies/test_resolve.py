import os
import signal

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.studies.resolve import Resolver

TINY = [
    *("--data.dataset", "SyntheticScenes", "--data.dataset.length", "8", "--data.dataset.size", "[32, 32]"),
    *(
        "--data.crop_size",
        "[32, 32]",
        "--data.workers",
        "0",
        "--model.backbone.encoder",
        "tu-test_efficientnet",
    ),
]


@pytest.mark.slow
def test_one_process_builds_many_command_lines_and_says_what_is_wrong_with_one() -> None:
    with Resolver() as resolver:
        first, broken, second = resolver([TINY, [*TINY, "--model.bta=1"], [*TINY, "--model.beta=2.5"]])
        process = resolver._process
        assert "model.bta" in broken["error"]
        assert "beta: 2.5" in second["config"]
        assert "val/score" in first["figures"]
        [again] = resolver([TINY])
        assert again == first
        assert resolver._process is process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(UsageError, match="the variants cannot be built"):
            resolver([TINY])
    assert process.poll() is not None
