import pytest

from benchmarks import startup

REPORT = """\
import time: self [us] | cumulative | imported package
import time:      1000 |       1000 |     numpy.core
import time:       500 |       1500 |   numpy
import time:       250 |        250 |     scipy.linalg
import time:       250 |        500 |   scipy
import time:      2000 |       4000 | fusionseg.cli
a warning | in between
import time:       100 |        100 | numpy.random
"""


def test_packages_have_their_own_time_and_the_module_that_asked_first() -> None:
    found = startup.packages(REPORT)
    assert found["numpy"] == ("numpy", 1.6, "fusionseg.cli")
    assert found["scipy"] == ("scipy", 0.5, "fusionseg.cli")
    assert found["fusionseg"] == ("fusionseg", 2.0, "the command as it runs")


def test_a_process_that_fails_is_not_timed() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)failed.*oh no"):
        startup.launch(("-c", "raise SystemExit('oh no')"))


def test_startup_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {startup.BASELINE: "pass", "--help": "import tomllib", "first step": "import tomllib, wave"}
    monkeypatch.setattr("benchmarks.startup.COMMANDS", {name: ("-c", line) for name, line in lines.items()})
    monkeypatch.setattr("sys.argv", ["startup", "--rounds", "2"])
    startup.main()
    help_table, first_table = capsys.readouterr().out.split("imported for")[1:]
    assert "tomllib" in help_table
    assert "wave" not in help_table
    assert "wave" in first_table


@pytest.mark.slow
def test_help_imports_nothing_that_it_does_not_need() -> None:
    found = startup.packages(startup.launch(startup.COMMANDS["--help"], "-X", "importtime"))
    assert "jsonargparse" in found
    assert not {"wandb", "timm", "segmentation_models_pytorch", "skimage"} & set(found)


@pytest.mark.slow
def test_the_timed_first_step_is_one_that_is_made() -> None:
    assert "loss_semantic" in startup.launch(startup.COMMANDS["first step"])
