from pathlib import Path

import pytest

from fusionseg.config.errors import UserError
from fusionseg.scores.pairs import pairs


def folders(root: Path, true: str, predicted: str) -> tuple[Path, Path]:
    for name, files in (("true", true), ("predicted", predicted)):
        (root / name).mkdir(parents=True)
        for file in files.split():
            (root / name / file).parent.mkdir(exist_ok=True)
            (root / name / file).write_text("")
    return root / "true", root / "predicted"


def test_files_match_by_their_path_without_suffix(tmp_path: Path) -> None:
    true, predicted = folders(tmp_path, "b.mat a.mat in/a.mat notes.txt", "a.png in/a.PNG b.png")
    found = pairs(true, predicted, {".mat"}, {".png"}).files
    assert found == {
        name: (true / f"{name}.mat", predicted / file)
        for name, file in {"a": "a.png", "b": "b.png", "in/a": "in/a.PNG"}.items()
    }
    assert list(found) == ["a", "b", "in/a"]


def test_two_files_are_a_pair_whatever_their_names_are(tmp_path: Path) -> None:
    true, predicted = folders(tmp_path, "a.mat", "b.png")
    assert pairs(true / "a.mat", predicted / "b.png", {".mat"}, {".png"}).files == {
        "a": (true / "a.mat", predicted / "b.png")
    }


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        (
            "a.mat b.mat c.mat",
            "a.png",
            r"no prediction of b, c in .*predicted: complete them, or .* --common",
        ),
        ("a.mat", "a.png b.png", r"no truth of b in .*true: complete"),
        ("a.mat b.mat", "c.png", r"no prediction of a, b in .*; no truth of c in .*true: complete them$"),
        ("a.mat", "", "files of .png in .*predicted, found none"),
        ("", "a.png", "files of .mat in .*true, found none"),
        ("a.mat", "a.txt", "no files of a known format in .*predicted"),
    ],
)
def test_what_has_no_partner_is_named(true: str, predicted: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        pairs(*folders(tmp_path, true, predicted), {".mat"}, {".png"})


def test_common_files_can_be_scored_alone(tmp_path: Path) -> None:
    true, predicted = folders(tmp_path, "a.mat b.mat", "b.png c.png d.png")
    found = pairs(true, predicted, {".mat"}, {".png"}, common=True)
    assert list(found.files) == ["b"]
    assert found.notices == [
        "scored what both sides have, 1 image; left out: a without prediction; c, d without truth"
    ]
    (predicted / "b.png").unlink()
    with pytest.raises(UserError, match="no prediction of a, b"):
        pairs(true, predicted, {".mat"}, {".png"}, common=True)


def test_wrong_paths_are_named(tmp_path: Path) -> None:
    true, predicted = folders(tmp_path, "a.mat", "a.png")
    with pytest.raises(UserError, match=r"found no .*nowhere"):
        pairs(true, tmp_path / "nowhere", {".mat"}, {".png"})
    with pytest.raises(UserError, match=r"the file .*a.mat and the folder .*predicted"):
        pairs(true / "a.mat", predicted, {".mat"}, {".png"})
