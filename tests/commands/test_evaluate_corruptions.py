"""`evaluate --corruptions`."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from fusionseg.commands.evaluate import EvaluateCLI, main
from fusionseg.config.errors import UsageError
from fusionseg.config.trust import untrusted
from fusionseg.data.base import DataError

QUICK = ["--corruptions", "fog,rotation", "--severities", "2,5", "--data.dataset.length", "2"]


@pytest.mark.slow
def test_a_run_is_measured_once_and_shown_beside_others(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--run", str(trained), *QUICK])
    out, err = capsys.readouterr()
    found = json.loads((trained / "evaluation" / "corruptions.json").read_text())
    assert found["images"] == 2
    assert found["trained_on"] == ["photometric", "geometric"]
    assert {name: list(measured) for name, measured in found["corrupted"].items()} == {
        "fog": ["2", "5"],
        "rotation": ["2", "5"],
    }
    fog = [found["corrupted"]["fog"][severity]["miou"] for severity in ("2", "5")]
    line = next(line for line in out.splitlines() if line.startswith("fog "))
    assert line.split()[:3] == ["fog", "weather", f"{sum(fog) / 2:.4f}"]
    assert "* left out of the mean, as training shows it too: geometric" in out
    assert out.splitlines()[-1] == str(trained / "evaluation" / "corruptions.json")
    assert [line.split(":")[0] for line in err.splitlines()] == [
        "clean",
        "fog 2",
        "fog 5",
        "rotation 2",
        "rotation 5",
    ]
    with (trained / "evaluation" / "corruptions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["corruption"] for row in rows} == {"clean", "fog", "rotation", "mean of families"}
    assert float(rows[1]["miou"]) == fog[0]
    with Image.open(trained / "evaluation" / "corruptions.png") as picture:
        assert picture.width > 500
    other = shutil.copytree(trained, tmp_path / "other")
    main(["--run", str(trained), *QUICK, "--beside", str(other)])
    out, err = capsys.readouterr()
    assert err == ""
    assert f"(1) {trained}\n(2) {other}\n" in out
    assert re.search(r"mIoU \(1\) +mIoU \(2\)", out)


@pytest.mark.slow
def test_what_cannot_be_measured_is_refused_before_anything_is(trained: Path) -> None:
    with pytest.raises(UsageError, match=r"^corruptions: no corruption 'fogg'; did you mean fog\?$"):
        main(["--run", str(trained), "--corruptions", "fogg"])
    (trained / "training_files.txt").write_text("broken\n")
    with pytest.raises(DataError, match="expected a digest and a name"):
        main(["--run", str(trained), *QUICK])
    assert not (trained / "evaluation").exists()


@pytest.mark.slow
def test_families_of_the_changes_that_a_run_was_trained_with_are_left_out_too(trained: Path) -> None:
    jitter = "{class_path: torchvision.transforms.v2.ColorJitter, init_args: {hue: 0.1}}"
    changes = f"[RandomErasing, RandomCorruption, {{class_path: TorchvisionTransform, init_args: {{transform: {jitter}}}}}]"
    words = [
        "--config",
        str(trained / "config.yaml"),
        "--run",
        str(trained),
        "--data.augmentation.changes",
        changes,
    ]
    with untrusted():
        cli = EvaluateCLI([*words, "--data.augmentation.rotation", "0"])
    families = cli.datamodule.augmentation.families
    assert families == ("photometric", "occlusion", "noise", "blur", "compression")
