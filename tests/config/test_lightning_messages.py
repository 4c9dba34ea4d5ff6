import logging
import warnings

import pytest

from fusionseg.config.lightning_messages import CHATTER, LOGGERS, quiet


@pytest.fixture(autouse=True)
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets records of Lightning's loggers reach the root, which otherwise depends on earlier configuration."""
    for name in {".".join(name.split(".")[:depth]) for name in LOGGERS for depth in range(1, 5)}:
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)


def test_known_chatter_is_dropped_and_the_rest_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), quiet():
        for name in LOGGERS:
            logging.getLogger(name).info("\n%s ...", CHATTER[3])
            logging.getLogger(name).info("something else")
    assert [record.getMessage() for record in caplog.records] == ["something else"] * len(LOGGERS)


def test_groundless_warnings_are_dropped_and_others_are_heard() -> None:
    with warnings.catch_warnings(record=True) as caught, quiet():
        warnings.warn(
            "The 'val_dataloader' does not have many workers which may be a bottleneck", stacklevel=1
        )
        with pytest.raises(UserWarning, match="something else"):
            warnings.warn("something else", stacklevel=1)
    assert not caught


def test_an_inner_quiet_does_not_end_the_outer(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        with quiet():
            with quiet():
                pass
            logging.getLogger(LOGGERS[0]).info(CHATTER[3])
        assert not caplog.records
        logging.getLogger(LOGGERS[0]).info(CHATTER[3])
        assert len(caplog.records) == 1
