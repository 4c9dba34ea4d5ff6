import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.commands.score import kinds, main
from fusionseg.config.errors import UsageError, UserError


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """The arguments that name a drawn boundary map and a prediction of two strengths."""
    soft = np.zeros((20, 30), np.uint8)
    soft[:, 14] = np.linspace(50, 250, 20)
    for name, pixels in (("true", np.where(soft, 255, 0).astype(np.uint8)), ("predicted", soft)):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "a.png")
    return ["--truth", str(tmp_path / "true"), "--prediction", str(tmp_path / "predicted"), "--jobs", "1"]


def test_figures_are_printed_and_written(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores" / "mine.json"
    main(["boundaries", *folders, "--out", str(out), "--thresholds", "9", "--nms"])
    printed = capsys.readouterr().out.splitlines()
    files = [
        "mine.json",
        "mine_best.csv",
        "mine_curve.csv",
        "mine_curve.html",
        "mine_curve.png",
        "mine_images.csv",
    ]
    assert sorted(path.name for path in out.parent.iterdir()) == files
    assert {Path(line).name for line in printed[-6:]} == set(files)
    content = json.loads(out.read_text())
    assert content["kind"] == "boundaries"
    assert content["images"] == 1
    assert content["options"]["nms"] is True
    assert f"ods            {content['metrics']['ods']:.6g}" in printed
    with (out.parent / "mine_images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["threshold"]) for row in rows] == pytest.approx([n / 10 for n in range(1, 10)])
    with (out.parent / "mine_curve.csv").open() as file:
        assert [row["recall"] for row in csv.DictReader(file)] == [row["recall"] for row in rows]
    with Image.open(out.parent / "mine_curve.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5
    assert "http:" not in (out.parent / "mine_curve.html").read_text().split("<script", 1)[0]


@pytest.mark.slow
def test_scores_are_computed_without_torch(folders: list[str]) -> None:
    code = "import sys; from fusionseg.commands.score import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code, "boundaries", *folders], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "False"


def test_the_help_names_kinds_and_their_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    overview = capsys.readouterr().out
    assert all(f"  {kind} " in overview for kind in kinds())
    for kind in kinds():
        with pytest.raises(SystemExit):
            main([kind, "--help"])
        text = capsys.readouterr().out
        assert f"fusionseg score {kind} --truth PATH --prediction PATH" in text
        assert "--common" in text


def test_mistakes_are_one_line(folders: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected one of boundaries, .* did you mean boundaries"):
        main(["boundary", *folders])
    with pytest.raises(UsageError, match="threshold"):
        main(["boundaries", *folders, "--threshold", "9"])
    with pytest.raises(UsageError, match="prediction"):
        main(["boundaries", *folders[:2]])
    with pytest.raises(UserError, match="found no nowhere"):
        main(["boundaries", *folders[:2], "--prediction", "nowhere"])


def test_nothing_is_written_where_nothing_can_be_scored(folders: list[str], tmp_path: Path) -> None:
    (tmp_path / "predicted" / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"a\.png"):
        main(["boundaries", *folders, "--out", str(tmp_path / "scores" / "a.json")])
    assert not (tmp_path / "scores").exists()


def test_without_the_extra_the_page_alone_is_left_out(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    main(["boundaries", *folders, "--out", str(tmp_path / "a.json"), "--thresholds", "3"])
    assert (
        'no interactive curve: a page needs jinja2: pip install "fusionseg[study]"' in capsys.readouterr().err
    )
    assert (tmp_path / "a_curve.png").is_file()
    assert (tmp_path / "a.json").is_file()
    assert not (tmp_path / "a_curve.html").exists()


@pytest.mark.parametrize("out", ["scores", "folder.json", "a.csv", "file.txt/a.json"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_scored(
    out: str, folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fusionseg.scores.kinds.boundaries.score", lambda _: pytest.fail("it was scored"))
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(UserError, match=r"a .json file to write|found the file .*file.txt"):
        main(["boundaries", *folders, "--out", str(tmp_path / out)])


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    for name in ("truth", "prediction"):
        (tmp_path / f"{name}.json").write_text("{}")
    words = ["--truth", str(tmp_path / "truth.json"), "--prediction", str(tmp_path / "prediction.json")]
    with pytest.raises(UserError, match=r"a file to write the scores to, found .*truth.json, which is read"):
        main(["panoptic", *words, "--out", str(tmp_path / "x" / ".." / "truth.json")])
    assert (tmp_path / "truth.json").read_text() == "{}"
