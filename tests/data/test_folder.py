import shutil
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image

from fusionseg.config.errors import UserError
from fusionseg.data.base import DataError, Split
from fusionseg.data.folder import Folder

Writer = Callable[..., Path]
CLASSES = "classes: [{name: sky}, {name: cell}]\nvoid: 255\n"


def names(dataset: Folder) -> list[str]:
    return [dataset.name(i) for i in range(len(dataset))]


def test_classes_and_the_region_are_those_of_the_file(folder: Writer) -> None:
    classes = Folder("train", folder()).classes
    assert classes.names == ("sky", "cell")
    assert classes.colors[0] == (1, 2, 3)
    assert classes.things == (1,)
    assert classes.region == "one nucleus"


def test_both_label_maps_are_read(folder: Writer) -> None:
    _, semantic, region, _ = Folder("train", folder()).read(0)
    assert (semantic[:10] == 0).all()
    assert (semantic[19] == 255).all()
    assert np.unique(region).tolist() == [0, 1, 2, 300]


def test_without_regions_they_are_components(folder: Writer) -> None:
    data = Folder("train", folder(regions=False))
    assert data.classes.region == "a connected component of a class"
    region = data.labels(0).region
    assert np.unique(region).tolist() == [0, 1, 2]
    assert np.unique(Folder("train", folder(regions=False), min_area=290).labels(0).region).tolist() == [0, 1]


def test_without_classes_all_are_void(folder: Writer) -> None:
    semantic, region, _ = Folder("train", folder(semantic=False)).labels(0)
    assert (semantic == 255).all()
    assert region.any()


def test_images_without_any_labels_are_refused(folder: Writer) -> None:
    with pytest.raises(DataError, match=r"not found: .*semantic, .*regions; expected this layout"):
        Folder("train", folder(semantic=False, regions=False))


def test_drawn_splits_share_no_image_and_stay_when_files_come_or_go(folder: Writer) -> None:
    root = folder()
    before = {s: names(Folder(s, root, 0.2, 0.2)) for s in Folder.splits}
    assert before == {"train": list("aghi"), "val": list("be"), "test": list("cdfj")}
    folder("klmnopqr")
    for part in ("images", "semantic", "regions"):
        for name in "adj":
            next((root / part).glob(f"{name}.*")).unlink()
    after = {s: names(Folder(s, root, 0.2, 0.2)) for s in Folder.splits}
    assert sorted(name for split in after.values() for name in split) == list("bcefghiklmnopqr")
    for split, kept in {"train": "ghi", "val": "be", "test": "cf"}.items():
        assert set(after[split]) & set("bcefghi") == set(kept)


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_drawn_split_is_refused_whichever_is_asked_for(folder: Writer, split: Split) -> None:
    root = folder("aghi")
    with pytest.raises(
        DataError, match=r"none to val on among 4 in .*: change the fractions or write val.txt"
    ):
        Folder(split, root)
    assert names(Folder("train", root, val_fraction=0.0)) == list("aghi")


def test_an_empty_split_is_refused(folder: Writer) -> None:
    with pytest.raises(DataError, match=r"write test.txt or set test_fraction above 0"):
        Folder("test", folder())


def test_lists_decide_the_split(folder: Writer) -> None:
    root = folder()
    (root / "train.txt").write_text("c\na\n\n")
    (root / "val.txt").write_text("b\n")
    assert names(Folder("train", root)) == ["c", "a"]
    assert names(Folder("val", root)) == ["b"]


def test_an_image_in_two_lists_is_refused(folder: Writer) -> None:
    root = folder()
    (root / "train.txt").write_text("c\na\n")
    (root / "test.txt").write_text("a\n")
    with pytest.raises(DataError, match=r"found a in train.txt and test.txt"):
        Folder("train", root)


def test_an_unknown_name_in_a_list_is_refused(folder: Writer) -> None:
    root = folder()
    (root / "train.txt").write_text("c\na.png\n")
    with pytest.raises(DataError, match=r"without suffix in .*train.txt, found a.png"):
        Folder("train", root)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("semantic/a.png", "no labels in .*semantic for a"),
        ("regions/a.png", "no labels in .*regions for a"),
        ("images/a.png", "no images for the labels a in .*semantic"),
        ("classes.yaml", "not found: .*classes.yaml; expected this layout"),
    ],
)
def test_a_missing_file_is_named(folder: Writer, file: str, message: str) -> None:
    root = folder()
    (root / file).unlink()
    with pytest.raises(DataError, match=message):
        Folder("train", root)


@pytest.mark.parametrize(("part", "wanted"), [("images", "images"), ("semantic", "labels")])
def test_a_file_of_a_format_that_is_not_read_is_named_where_one_is_missing(
    part: str, wanted: str, folder: Writer
) -> None:
    root = folder()
    path = root / part / "a.png"
    path.rename(path.with_suffix(".heic"))
    with pytest.raises(
        DataError, match=rf"no {wanted} .* \(there is .*a\.heic, a format that is not read\): add"
    ):
        Folder("train", root)
    path.with_suffix(".heic").unlink()
    path.symlink_to(root / "nowhere.png")
    with pytest.raises(DataError, match=r" \(there is .*a\.png, a broken link\): add"):
        Folder("train", root)


def test_names_of_classes_that_look_alike_are_one(folder: Writer) -> None:
    root = folder()
    names = [normalize(form, "caf\u00e9") for form in ("NFC", "NFD")]
    (root / "classes.yaml").write_text(f"classes: [{{name: {names[1]}}}, {{name: cell}}]\n")
    assert Folder("train", root).classes.names == (names[0], "cell")
    (root / "classes.yaml").write_text(f"classes: [{{name: {names[0]}}}, {{name: {names[1]}}}]\n")
    with pytest.raises(DataError, match="classes of different names"):
        Folder("train", root)


def test_a_missing_root_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/images.*expected this layout"):
        Folder("train", tmp_path / "nowhere")


def test_two_images_of_one_name_are_refused(folder: Writer) -> None:
    root = folder()
    Image.new("RGB", (30, 20)).save(root / "images/a.jpg")
    with pytest.raises(UserError, match=r"one file named a in .*, found a.jpg and a.png"):
        Folder("train", root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: []", "1 to 255 classes"),
        ("klasses: 3", "KeyError"),
        ("classes: [{name: a}, {name: b}, {name: a}]", "classes of different names, found a twice"),
        (
            "classes: [{name: a}]\nbackground: 1",
            "expected background: 0, as other ids are regions anyway, found 1",
        ),
        ("classes: [{name: a}]\nbackground: false", "expected background: 0"),
        ("classes: [{name: a}]\nvalue_range: [9, 0]", r"two numbers, low and high, found \[9, 0\]"),
        ("classes: [{name: a}]\nvalue_range: 4095", "TypeError"),
        ("a: [", "expected classes as below"),
        ("classes: [{name: a, color: [1, 2, 300]}]", r"in 0..255, found \[1, 2, 300\]"),
        ("classes: [{name: a}, {name: b}]\nvoid: 1", r"void id in 2..255, .* found 1"),
        ("classes: [{name: a}, {name: b}]\nchannels: 1", "at least 3 channels"),
    ],
)
def test_foreign_class_files_are_refused(folder: Writer, text: str, message: str) -> None:
    root = folder()
    (root / "classes.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        Folder("train", root)


@pytest.mark.parametrize(
    "text", ["[" * 3000, "classes: [{name: a, color: [.inf, 0, 0]}]", "classes: [{name: a}]\nvoid: .inf"]
)
def test_class_files_that_break_a_reader_are_refused(folder: Writer, text: str) -> None:
    root = folder()
    (root / "classes.yaml").write_text(text)
    with pytest.raises(DataError, match=f"found something else in {root}/classes.yaml"):
        Folder("train", root)


def test_a_list_that_is_no_text_is_named(folder: Writer) -> None:
    root = folder()
    (root / "train.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=f"one name in a line .UTF-8. in {root}/train.txt"):
        Folder("train", root)


def oriented(path: Path, value: int) -> None:
    """Turns a photo as cameras do: the pixels stay and an EXIF tag says how to display them."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    with Image.open(path) as image:
        image.save(path, exif=exif)


def test_labels_belong_to_the_stored_pixels_of_a_photo(folder: Writer) -> None:
    root = folder("a")
    expected = Folder("train", root, val_fraction=0.0).read(0)
    oriented(root / "images/a.png", 6)
    assert all(map(np.array_equal, Folder("train", root, val_fraction=0.0).read(0)[:3], expected[:3]))


def test_a_size_that_differs_by_the_orientation_is_explained(folder: Writer) -> None:
    root = folder("a")
    for part in ("semantic", "regions"):
        with Image.open(root / f"{part}/a.png") as image:
            image.transpose(Image.Transpose.ROTATE_270).save(root / f"{part}/a.png")
    message = r"size 30 x 20 \(.*a.png\), found 20 x 30 in .*semantic/a.png"
    with pytest.raises(DataError, match=f"{message}$"):
        Folder("train", root, val_fraction=0.0).read(0)
    oriented(root / "images/a.png", 6)
    with pytest.raises(DataError, match=f"{message}: the photo is displayed in that size, .* orientation 6"):
        Folder("train", root, val_fraction=0.0).read(0)


def palette_png(path: Path, ids: npt.ArrayLike, palette: list[tuple[int, int, int]]) -> None:
    image = Image.fromarray(np.asarray(ids, np.uint8))
    image.putpalette(np.asarray(palette, np.uint8).tobytes())
    image.save(path)


THREE = "classes: [{name: a, color: [9, 9, 9]}, {name: b, color: [200, 0, 0]}, {name: c, color: [0, 200, 0]}]"
A, B, C, OTHER = (9, 9, 9), (200, 0, 0), (0, 200, 0), (7, 7, 70)


@pytest.mark.parametrize("palette", [[B, A, C], [C, B, A], [B, C, OTHER]])
def test_a_palette_of_the_classes_colors_in_another_order_is_refused(
    folder: Writer, palette: list[tuple[int, int, int]]
) -> None:
    root = folder("a", regions=False)
    (root / "classes.yaml").write_text(THREE)
    palette_png(root / "semantic/a.png", np.arange(600).reshape(20, 30) % 3, palette)
    with pytest.raises(
        DataError, match=r"class ids in .*semantic/a.png, found 0 in the color of . and not a"
    ):
        Folder("train", root, val_fraction=0.0).labels(0)


def test_two_of_many_classes_with_each_other_s_colors_are_refused(folder: Writer) -> None:
    root = folder("a", regions=False)
    more = "{name: d, color: [0, 0, 200]}, {name: e, color: [90, 90, 0]}]"
    (root / "classes.yaml").write_text(THREE.removesuffix("]") + ", " + more)
    palette = [A, C, B, (0, 0, 200), (90, 90, 0)]
    palette_png(root / "semantic/a.png", np.arange(600).reshape(20, 30) % 5, palette)
    with pytest.raises(DataError, match="found 1 in the color of c and not b, 2 in the color of b and not c"):
        Folder("train", root, val_fraction=0.0).labels(0)


@pytest.mark.parametrize(
    "palette", [[A, B, C], [OTHER, OTHER, OTHER], [A, B, A], [(i, i, i) for i in range(256)]]
)
def test_a_palette_that_says_nothing_else_is_read(
    folder: Writer, palette: list[tuple[int, int, int]]
) -> None:
    root = folder("a", regions=False)
    (root / "classes.yaml").write_text(THREE)
    ids = np.arange(600).reshape(20, 30) % 3
    palette_png(root / "semantic/a.png", ids, palette)
    assert np.array_equal(Folder("train", root, val_fraction=0.0).labels(0).semantic, ids)


def test_label_maps_of_two_sizes_are_refused(folder: Writer) -> None:
    root = folder("a")
    Image.fromarray(np.ones((9, 30), np.uint8)).save(root / "regions/a.png")
    with pytest.raises(DataError, match=r"label maps of one size, found \(9, 30\) in"):
        Folder("train", root, val_fraction=0.0).read(0)


def test_a_label_map_of_regions_alone_has_the_size_of_the_image(folder: Writer) -> None:
    root = folder("a", semantic=False)
    Image.fromarray(np.ones((9, 30), np.uint8)).save(root / "regions/a.png")
    with pytest.raises(DataError, match=r"found 30 x 9 in .*regions/a.png"):
        Folder("train", root, val_fraction=0.0).read(0)


def four(root: Path, suffix: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    (root / "images/a.png").unlink()
    with (root / "classes.yaml").open("a") as file:
        file.write("channels: 4\n")
    if suffix == "npy":
        np.save(root / "images/a.npy", image)
    else:
        Image.fromarray(image, "RGBA").save(root / f"images/a.{suffix}")
    return image


@pytest.mark.parametrize("suffix", ["png", "tiff", "npy"])
def test_four_channels_are_read_as_they_are(folder: Writer, suffix: str) -> None:
    root = folder("a")
    image = four(root, suffix)
    dataset = Folder("train", root, val_fraction=0.0)
    assert dataset.channels == 4
    assert np.array_equal(dataset.read(0).image, image)


@pytest.mark.parametrize("suffix", ["png", "tiff", "npy"])
def test_a_truncated_image_is_named(folder: Writer, suffix: str) -> None:
    root = folder("a")
    four(root, suffix)
    file = root / f"images/a.{suffix}"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(ValueError, match=f"{file} is no complete image file"):
        Folder("train", root, val_fraction=0.0).read(0)


def test_other_channels_than_declared_are_refused(folder: Writer) -> None:
    root = folder("a")
    with (root / "classes.yaml").open("a") as file:
        file.write("channels: 4\n")
    with pytest.raises(
        ValueError, match=r"numbers \(H, W, 4\), found uint8 \(20, 30, 3\) in .*: mind `channels`"
    ):
        Folder("train", root, val_fraction=0.0).read(0)


@pytest.mark.parametrize("suffix", ["PNG", "tif", "TIFF", "npy"])
def test_label_files_have_several_formats_in_any_case(folder: Writer, suffix: str) -> None:
    root = folder()
    expected = [Folder("train", root).read(i) for i in range(6)]
    for part in ("semantic", "regions"):
        for path in list((root / part).iterdir()):
            with Image.open(path) as image:
                if suffix == "npy":
                    np.save(path.with_suffix(".npy"), np.array(image))
                else:
                    image.save(path.with_suffix(".tmp"), "PNG" if suffix == "PNG" else "TIFF")
                    path.with_suffix(".tmp").rename(path.with_suffix(f".{suffix}"))
            path.unlink()
    for i, one in enumerate(expected):
        assert all(map(np.array_equal, Folder("train", root).read(i)[:3], one[:3]))


@pytest.mark.parametrize(
    ("ids", "found"),
    [(np.zeros((20, 30)), "float64"), (np.zeros((20, 30, 1), np.int64), r"int64 \(20, 30, 1\)")],
)
def test_arrays_of_something_else_are_no_labels(
    folder: Writer, ids: npt.NDArray[np.generic], found: str
) -> None:
    root = folder("a")
    (root / "semantic/a.png").unlink()
    np.save(root / "semantic/a.npy", ids)
    with pytest.raises(ValueError, match=rf"integer ids \(H, W\) in .*a.npy, found {found}"):
        Folder("train", root, val_fraction=0.0).labels(0)


@pytest.mark.parametrize("suffix", [".ppm", ".JPEG", ".Tga", ".jp2", ".gif"])
def test_photos_have_every_format_that_pillow_decodes(folder: Writer, suffix: str) -> None:
    root = folder("a")
    with Image.open(root / "images/a.png") as image:
        image.save(root / f"images/a{suffix}")
    (root / "images/a.png").unlink()
    assert Folder("train", root, val_fraction=0.0).read(0).image.shape == (20, 30, 3)


def test_a_folder_without_any_photo_says_what_it_holds(folder: Writer) -> None:
    root = folder("a")
    (root / "images/a.png").rename(root / "images/a.heic")
    with pytest.raises(UserError, match=r"no files of a known format in .*images, found only .heic"):
        Folder("train", root)


def test_files_are_matched_by_their_paths_below_the_folders(folder: Writer) -> None:
    root = folder(["day/1", "night/1", "night/old/2"])
    (root / "train.txt").write_text("night/1\nday/1\n")
    (root / "images/.hidden").mkdir()
    (root / "images/.hidden/x.png").touch()
    (root / "images/._y.png").touch()
    dataset = Folder("train", root)
    assert names(dataset) == ["night/1", "day/1"]
    assert dataset.photo(0) == root / "images/night/1.jpg"
    assert dataset.read(0).image[0, 0, 0] in range(18, 23)
    (root / "semantic/day/1.png").rename(root / "semantic/1.png")
    with pytest.raises(DataError, match=r"no labels in .*semantic for day/1"):
        Folder("train", root)


def test_linked_folders_are_followed(folder: Writer) -> None:
    root = folder(["day/1"])
    for part in ("images", "semantic", "regions"):
        (root / part / "day").rename(root / f"{part} elsewhere")
        (root / part / "day").symlink_to(root / f"{part} elsewhere")
        (root / part / "circle").symlink_to(root / part)
    assert names(Folder("train", root, val_fraction=0.0)) == ["day/1"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_lists_of_other_systems_are_read(folder: Writer, encoding: str, end: str) -> None:
    root = folder()
    (root / "train.txt").write_bytes(f"c{end}a{end}{end}".encode(encoding))
    (root / "classes.yaml").write_bytes(CLASSES.replace("\n", end).encode(encoding))
    assert names(Folder("train", root)) == ["c", "a"]
    assert Folder("train", root).classes.names == ("sky", "cell")


def test_names_are_matched_in_unicodes_composed_form(folder: Writer) -> None:
    composed = "\u00fcber"
    root = folder([composed])
    decomposed = normalize("NFD", composed)
    (root / f"images/{composed}.png").rename(root / f"images/{decomposed}.png")
    (root / "train.txt").write_text(decomposed)
    dataset = Folder("train", root)
    assert names(dataset) == [composed]
    assert dataset.read(0).image.shape == (20, 30, 3)


def test_background_is_a_region_where_it_is_declared(folder: Writer) -> None:
    root = folder("a")
    ids = np.zeros((20, 30), np.uint8)
    ids[10:, :15], ids[10:, 15:] = 1, 2
    Image.fromarray(ids).save(root / "regions/a.png")
    without = Folder("train", root, val_fraction=0.0).labels(0).region
    with (root / "classes.yaml").open("a") as file:
        file.write("background: 0\n")
    dataset = Folder("train", root, val_fraction=0.0)
    assert dataset.classes.region == "one nucleus, or the background"
    region = dataset.labels(0).region
    assert np.array_equal(without, ids)
    assert (region[:10] == 3).all()
    assert np.array_equal(region[10:19], ids[10:19])
    assert (region[19] == 0).all(), "where the class is void"
    shutil.rmtree(root / "semantic")
    assert np.unique(Folder("train", root, val_fraction=0.0).labels(0).region).tolist() == [1, 2, 3]


def test_the_declared_range_of_values_is_that_of_the_images(folder: Writer) -> None:
    root = folder("ab")
    with (root / "classes.yaml").open("a") as file:
        file.write("value_range: [0, 4095]\n")
    values = np.linspace(0, 4095, 600).reshape(20, 30)
    Image.fromarray(values.astype(np.uint16)).save(root / "images/a.png")
    (root / "images/b.jpg").unlink()
    np.save(root / "images/b.npy", np.repeat(values[..., None], 3, axis=2))
    dataset = Folder("train", root, val_fraction=0.0)
    assert dataset.value_range == (0, 4095)
    assert [dataset.read(i).image.dtype for i in range(2)] == [np.uint16, np.float32]
    for i, top in enumerate((65535, 1)):
        assert np.abs(dataset.read(i).image[..., 1] / top - values / 4095).max() < 1.1 / 4095
