"""Small data as people have them, each with what the commands have to make of it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fusionseg.commands import evaluate, fit, predict
from fusionseg.config.errors import UserError
from fusionseg.data.folder import Folder


class Ground(NamedTuple):
    """What a case is tried with.

    Args:
        case: The folder of the case.
        others: The folder of all cases.
        run: A run on the images that the cases share, in their best-behaved form.
        words: The arguments of a short training on a folder, which follows them.
        own: An empty folder.
        said: Gives what was printed to standard error since it was last called.
        expected: The figures of the shared images 004 and 005, once a case needed them.
    """

    case: Path
    others: Path
    run: Path
    words: list[str]
    own: Path
    said: Callable[[], str]
    expected: dict[str, Any]

    def figures(self, root: Path, *words: str) -> dict[str, Any]:
        """The figures of the run on a folder, whose images it may have been trained on."""
        evaluate.main(
            [
                *("--run", str(self.run), "--data.dataset.root", str(root), "--trained"),
                *("--pictures", "2", *words),
            ]
        )
        content: dict[str, Any] = json.loads((self.run / "evaluation/val.json").read_text())
        return content["metrics"]  # type: ignore[no-any-return]

    def answers(self, images: Path, *words: str, name: str = "out") -> dict[str, npt.NDArray[Any]]:
        """The class ids that the run answers for the images of a folder, by their names."""
        out = self.own / name
        predict.main(["--run", str(self.run), "--images", str(images), "--out", str(out), *words])
        found = {}
        for path in sorted(out.glob("semantic/**/*.png")):
            with Image.open(path) as image:
                found[path.relative_to(out / "semantic").with_suffix("").as_posix()] = np.array(image)
        return found

    def trained(self, *words: str) -> None:
        """Trains on the case."""
        fit.main([*self.words, str(self.case / "data"), "--out", str(self.own / "run"), *words])

    def well(self, **lists: str) -> Path:
        """The shared images in their best-behaved form, with other lists."""
        root = self.own / "well"
        shutil.copytree(self.others / "perm/data", root)
        for split in ("train", "val"):
            (root / f"{split}.txt").write_text("\n".join(lists.get(split, "").split()))
        return root


def same_as_well(ground: Ground) -> None:
    """Another format of the same images and labels has the same figures."""
    root = ground.case / "data"
    assert [Folder("val", root).name(i) for i in range(2)] == ["004", "005"]
    found = ground.figures(root)
    assert ground.said() == ""
    if not ground.expected:
        ground.expected.update(ground.figures(ground.well(train="000", val="004 005")))
    assert found == ground.expected


def refused(message: str) -> Callable[[Ground], None]:
    """Training is refused, and leaves nothing."""

    def check(ground: Ground) -> None:
        with pytest.raises(UserError, match=message):
            ground.trained()
        assert not (ground.own / "run").exists()

    return check


def bits12(ground: Ground) -> None:
    """Twelve bits in sixteen are what they are in eight where their range is given, and noticed where not."""
    folders: dict[str, Path] = {}
    for path in (ground.case / "in").iterdir():
        kind, number = path.stem[:-1], path.stem[-1]
        folders[kind] = ground.own / kind
        folders[kind].mkdir(exist_ok=True)
        shutil.copy(path, folders[kind] / f"{number}{path.suffix}")
    expected = ground.answers(folders["eight"], name="a")
    ground.said()
    for kind, words in (("sixteen", ()), ("twelve", ("--value_range", "[0, 4095]"))):
        found = ground.answers(folders[kind], *words, name=f"of {kind}")
        assert ground.said() == ""
        for name, ids in expected.items():
            assert (found[name] == ids).mean() > 0.99, kind
    ground.answers(folders["twelve"], name="b")
    assert "fill less than a tenth" in ground.said()


def drawn(ground: Ground) -> None:
    """Images stay in their split when others come, and none that was trained on is scored."""
    before = {s: {*Folder(s, ground.case / "data", 0.3, 0.2).names} for s in Folder.splits}
    more = ground.own / "more"
    shutil.copytree(ground.case / "data", more)
    for part in ("images", "semantic", "regions"):
        for name in ("000", "new"):
            shutil.copy(ground.others / f"perm/data/{part}/000.png", more / f"{part}/{name}.png")
    for split, names in before.items():
        assert {*Folder(split, more, 0.3, 0.2).names} - {"000", "new"} == names
    with pytest.raises(UserError, match="trained on"):
        ground.figures(ground.case / "data", "--data.dataset.val_fraction", "0.6", "--trained", "false")


def exif3(ground: Ground) -> None:
    """Photos are read as they are stored, by every command, and a line says so."""
    upright = ground.own / "upright"
    shutil.copytree(ground.case / "data", upright)
    photos = ground.own / "photos"
    photos.mkdir()
    for path in sorted(upright.glob("images/*.jpg")):
        with Image.open(path) as image:
            Image.fromarray(np.array(image)).save(path.with_suffix(".png"))
        if path.stem in ("008", "009"):
            shutil.copy(path, photos)
        path.unlink()
    assert ground.figures(ground.case / "data") == ground.figures(upright)
    assert re.search("val photos looked at have an EXIF orientation", ground.said())
    found = ground.answers(photos, name="a")
    assert "EXIF" in ground.said()
    for name, ids in found.items():
        (photos / f"{name}.jpg").unlink()
        shutil.copy(upright / f"images/{name}.png", photos)
        assert len(np.unique(ids)) > 1
    for name, ids in ground.answers(photos, name="b").items():
        assert np.array_equal(found[name], ids)


def hidden(ground: Ground) -> None:
    """What begins with a dot is no image, and what else is passed over is counted."""
    assert list(ground.answers(ground.case / "in")) == ["001"]
    assert ground.said() == "passed over: 1 files of other kinds (.db), 3 hidden\n"


def mixed(ground: Ground) -> None:
    """Files of formats that are no images are passed over, and counted in a line."""
    assert list(ground.answers(ground.case / "in")) == ["a"]
    (line,) = ground.said().splitlines()
    assert "3" in line


def nested(ground: Ground) -> None:
    """Names keep their folders, in the folder of the answers and in the JSON file."""
    assert list(ground.answers(ground.case / "in")) == ["a/001", "b/001"]
    content = json.loads((ground.own / "out/panoptic.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a/001.png", "b/001.png"]


def perm(ground: Ground) -> None:
    """The same classes in another order are refused, or found by their names."""
    other = ground.case / "other"
    with pytest.raises(UserError, match="id 0 is cell and not ground; id 1 is ground and not water"):
        ground.figures(other)
    (ground.own / "map.yaml").write_text("{}")
    found = ground.figures(other, "--map-classes", str(ground.own / "map.yaml"))
    own = ground.own / "own"
    shutil.copytree(other, own)
    shutil.copy(ground.case / "data/classes.yaml", own)
    for path in own.glob("semantic/*.png"):
        with Image.open(path) as image:
            ids = np.array(image)
        Image.fromarray(np.array([2, 0, 1], np.uint8)[ids]).save(path)
    assert found == ground.figures(own)
    with pytest.raises(UserError, match="id 0 is cell and not ground"):
        fit.main([*ground.words, str(other), "--out", str(ground.own / "run"), "--weights", str(ground.run)])


def void(ground: Ground) -> None:
    """An image without labels is measured as nothing, and is neither the best nor the worst."""
    found = ground.figures(ground.case / "data")
    assert {path.stem for path in (ground.run / "evaluation").glob("val_*/*.png")} == {"005"}
    rows = (ground.run / "evaluation/val.csv").read_text().splitlines()
    (row,) = (line for line in rows if line.startswith("004,"))
    assert not re.search(r"\d\.\d", row)
    assert found == ground.figures(ground.well(train="000", val="005"))


CASES: dict[str, Callable[[Ground], None]] = {
    "allvoid": refused("found no labelled pixel in 4 training images"),
    "bin255": refused(r"found only ground \(id 0\) and void in 8 training images.*void: 254"),
    "bits12": bits12,
    "bom": same_as_well,
    "drawn": drawn,
    "dup": refused("expected classes of different names, found water twice"),
    "exif3": exif3,
    "hidden": hidden,
    "mixed": mixed,
    "nested": nested,
    "perm": perm,
    "ppm": same_as_well,
    "tiflabel": same_as_well,
    "upper": same_as_well,
    "void": void,
}


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    return tmp_path_factory.mktemp("shared") / "run", {}


@pytest.fixture
def cases(data: Path) -> Path:
    """The folder of all cases."""
    folder = data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no small cases beside FUSIONSEG_DATA, in {folder}")
    return folder


@pytest.fixture
def ground(
    cases: Path,
    _shared: tuple[Path, dict[str, Any]],
    one_epoch: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[str], Ground]:
    """Makes what a case is tried with."""
    run, expected = _shared
    if not run.exists():
        longer = ["--trainer.max_epochs", "12", "--trainer.check_val_every_n_epoch", "12", "--out", str(run)]
        fit.main([*one_epoch, str(cases / "perm/data"), "--model.optimizer.lr", "0.02", *longer])
    miou = json.loads((run / "summary.json").read_text())["metrics"]["val/miou"]
    assert miou > 0.5, "else all answers may be alike"
    capsys.readouterr()
    return lambda name: Ground(
        cases / name, cases, run, one_epoch, tmp_path, lambda: capsys.readouterr().err, expected
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in ("exif3", "perm") else name for name in CASES],
)
def test_a_small_case_ends_as_it_has_to(name: str, ground: Callable[[str], Ground]) -> None:
    CASES[name](ground(name))


def test_every_small_case_is_tried(cases: Path) -> None:
    assert CASES.keys() == {path.name for path in cases.iterdir() if path.is_dir()}
