import gc

import pytest

from fusionseg.config.imports import uncollected


class Cycle:
    """Garbage that only the collector finds."""

    def __init__(self, found: list[str], name: str) -> None:
        self.itself = self
        self.found, self.name = found, name

    def __del__(self) -> None:
        self.found.append(self.name)


@pytest.mark.slow
def test_nothing_is_collected_until_it_ends() -> None:
    found: list[str] = []
    with uncollected():
        assert not gc.isenabled()
        Cycle(found, "old")
    assert gc.isenabled()
    gc.collect()
    assert found == ["old"]


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()
    gc.enable()


def test_an_import_that_fails_switches_it_on_again() -> None:
    with pytest.raises(ImportError), uncollected():
        raise ImportError
    assert gc.isenabled()
