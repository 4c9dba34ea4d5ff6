from pathlib import Path
from unicodedata import normalize

import pytest

from fusionseg.config.errors import UsageError, UserError
from fusionseg.inference.input_images import InputImages

DECOMPOSED = normalize("NFD", "\u00fcber")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Files that are looked at by their names alone."""
    folder = tmp_path / "photos"
    for name in ("a.png", "b.jpg", "more/a.tiff", "more/gray.webp", "notes.txt"):
        touch(folder / name)
    return folder


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def found(*paths: Path, out: Path = Path("out")) -> list[str]:
    return list(InputImages([str(path) for path in paths], out).by_name)


def notice(*paths: Path, out: Path = Path("out")) -> str:
    return InputImages([str(path) for path in paths], out).notice


def test_images_are_found_by_file_folder_and_pattern(photos: Path) -> None:
    assert found(photos / "a.png") == ["a"]
    assert found(photos / "*.jpg", photos / "a.png") == ["b", "a"]
    assert found(photos) == ["a", "b", "more/a", "more/gray"]
    assert found(photos / "*" / "*") == ["more/a", "more/gray"]
    assert found(photos / "a.png", photos / "more" / "a.tiff") == ["a.png", "a.tiff"]
    for nothing in ("none.png", "*.bmp"):
        with pytest.raises(FileNotFoundError, match="found none"):
            InputImages([str(photos / nothing)], Path("out"))


def test_names_keep_their_folders(photos: Path) -> None:
    touch(photos / "again/a.tiff")
    for path in (photos, photos / "**", photos / "**/*"):
        images = InputImages([str(path)], Path("out")).by_name.values()
        assert {image.file_name for image in images} == {
            *("a.png", "b.jpg", "again/a.tiff", "more/a.tiff", "more/gray.webp")
        }
    with pytest.raises(ValueError, match=r"more/a.tiff and .*again/a.tiff: name the folder that holds both"):
        InputImages([str(photos / "more"), str(photos / "again")], Path("out"))


def test_what_is_passed_over_is_counted(photos: Path) -> None:
    assert notice(photos / "a.png") == ""
    assert notice(photos) == "passed over: 1 files of other kinds (.txt)"
    for name in (
        ".DS_Store",
        "._a.png",
        ".ipynb_checkpoints/a.png",
        "x.HEIC",
        "clip.mpg",
        "feat.h5",
        "Thumbs.db",
    ):
        touch(photos / name)
    expected = "passed over: 5 files of other kinds (.db .h5 .heic .mpg .txt), 3 hidden"
    assert notice(photos) == expected
    assert found(photos) == ["a", "b", "more/a", "more/gray"]
    (photos / "clip.mpg").rename(photos / "more/clip.mpg")
    with pytest.raises(
        FileNotFoundError, match=r"found none \(passed over: 1 files of other kinds \(.heic\)\)"
    ):
        InputImages([str(photos / "*.HEIC")], Path("out"))


def test_predictions_are_no_images(photos: Path) -> None:
    for name in ("out/overlay/a.png", "early/overlay/a.png", "early/semantic/a.png", "other/overlay/a.png"):
        touch(photos / name)
    touch(photos / "other/predictions.jsonl")
    for path in (photos, photos / "**"):
        images = InputImages([str(path)], photos / "out")
        assert list(images.by_name) == ["a", "b", "more/a", "more/gray"]
        assert "folders of predictions" in images.notice
    assert found(photos / "early/overlay") == ["a"], "which was named"
    with pytest.raises(UsageError, match="another folder than that of the images"):
        InputImages([str(photos)], photos / "more/..")


@pytest.mark.slow
def test_links_are_followed_and_circles_are_not(photos: Path, tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere/c.png")
    (photos / "linked").symlink_to(tmp_path / "elsewhere")
    (photos / "circle").symlink_to(photos)
    (photos / "d.png").symlink_to(tmp_path / "elsewhere/c.png")
    (photos / "broken.png").symlink_to(tmp_path / "nowhere.png")
    for path in (photos, photos / "**"):
        assert found(path) == ["a", "b", "d", "linked/c", "more/a", "more/gray"]
        assert notice(path) == "passed over: 1 files of other kinds (.txt), 1 links that lead nowhere"


def test_names_are_in_unicodes_composed_form(photos: Path) -> None:
    touch(photos / f"{DECOMPOSED}.png")
    assert "\u00fcber" in found(photos)


def test_a_folder_of_predictions_that_is_named_is_no_input(photos: Path, tmp_path: Path) -> None:
    (photos / "predictions.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=f"expected images, found predictions in {photos}"):
        InputImages([str(photos)], tmp_path / "out")


def test_a_folder_that_is_passed_over_counts_once(photos: Path, tmp_path: Path) -> None:
    earlier = photos / "earlier"
    (earlier / "overlay").mkdir(parents=True)
    (earlier / "predictions.jsonl").write_text("{}\n")
    for name in "abc":
        (earlier / "overlay" / f"{name}.png").write_bytes(b"")
    found = InputImages([str(photos / "**" / "*.png")], tmp_path / "out")
    assert "1 folders of predictions" in found.notice


def test_depth_is_found_by_the_names_of_the_images(photos: Path, tmp_path: Path) -> None:
    images = InputImages([str(photos)], Path("out"))
    for name in ("a.npy", "b.png", "more/a.tif", "more/gray.PNG", "more/other.png", "notes.txt"):
        touch(tmp_path / "depth" / name)
    images.take_depth(tmp_path / "depth")
    names = {image.file_name: image.depth for image in images.by_name.values()}
    below = tmp_path / "depth"
    expected = ["a.npy", "b.png", "more/a.tif", "more/gray.PNG"]
    assert names == dict(
        zip(
            ["a.png", "b.jpg", "more/a.tiff", "more/gray.webp"],
            [below / name for name in expected],
            strict=True,
        )
    )
    (below / "more" / "gray.PNG").unlink()
    (below / "b.png").unlink()
    with pytest.raises(UserError, match=r"no depth in .*depth for b, more/gray: add files of these names"):
        images.take_depth(below)


def test_one_image_may_have_a_file_of_any_name(photos: Path, tmp_path: Path) -> None:
    images = InputImages([str(photos / "a.png")], Path("out"))
    touch(tmp_path / "far.npy")
    images.take_depth(tmp_path / "far.npy")
    assert images.by_name["a"].depth == tmp_path / "far.npy"
    with pytest.raises(
        FileNotFoundError, match=r"a file or a folder of depth for the images, found .*nowhere"
    ):
        images.take_depth(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"a folder of depth files for the images, found .*far"):
        InputImages([str(photos)], Path("out")).take_depth(tmp_path / "far.npy")
