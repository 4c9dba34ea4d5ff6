"""Small datasets in the layouts of the real downloads."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix

from fusionseg.data.base import Labels, Pixels, Split
from fusionseg.data.synthetic import SyntheticScenes

CLASSES = """
classes: [{name: sky, color: [1, 2, 3]}, {name: cell, thing: true}]
region: one nucleus
"""


def save(path: Path, values: npt.ArrayLike, dtype: type = np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes the layout of `Folder`: sky above two touching cells."""

    def written(names: Iterable[str] = "abcdefghij", semantic: bool = True, regions: bool = True) -> Path:
        classes, cells = np.zeros((20, 30), int), np.ones((20, 30), int)
        classes[10:], cells[10:, :15], cells[10:, 15:] = 1, 2, 300
        classes[19:], cells[19:] = 255, 0
        for i, name in enumerate(names):
            save(tmp_path / f"images/{name}.{('png', 'jpg', 'bmp')[i % 3]}", np.full((20, 30, 3), 20 * i))
            if semantic:
                save(tmp_path / f"semantic/{name}.png", classes)
            if regions:
                save(tmp_path / f"regions/{name}.png", cells, np.uint16)
        (tmp_path / "classes.yaml").write_text(CLASSES)
        return tmp_path

    return written


CAMVID_FRAMES = {
    "train": ("0001TP_008520", "0006R0_f00930", "0016E5_07920", "0016E5_08190"),
    "val": ("0016E5_07959", "0016E5_08159"),
    "test": ("0001TP_008550", "Seq05VD_f00000"),
}
CAMVID_COLORS = np.array(
    [(128, 128, 128), (128, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192), (192, 128, 192)]
)
"""The colors of Sky, Road, Car, Pedestrian, Bicyclist and Truck_Bus in place of the classes of synthetic scenes."""


@pytest.fixture
def camvid32(tmp_path: Path) -> Path:
    """CamVid in the layout of its authors: in each split synthetic scenes, the last row of which is Void."""
    for split, names in CAMVID_FRAMES.items():
        scenes = SyntheticScenes(split, len(names), (48, 64))  # type: ignore[arg-type]
        for i, name in enumerate(names):
            image, semantic, *_ = scenes.read(i)
            colors = CAMVID_COLORS[semantic]
            colors[-1] = 0
            save(tmp_path / f"camvid/701_StillsRaw_full/{name}.png", image)
            save(tmp_path / f"camvid/LabeledApproved_full/{name}_L.png", colors)
    (tmp_path / "camvid/label_colors.txt").write_text("64 128 64\tAnimal\n0 0 0\t\tVoid\n64 192 0\tWall\n")
    return tmp_path / "camvid"


@pytest.fixture
def libmtl_nyuv2(libmtl: Path) -> Path:
    """Those of `nyuv2`."""
    return libmtl / "nyuv2"


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """COCO panoptic: grass (stuff, category 90) around two persons (1), a crowd of persons, and void."""
    categories = [
        {"id": 90, "name": "grass", "isthing": 0, "supercategory": "plant"},
        {"id": 1, "name": "person", "isthing": 1, "supercategory": "person", "color": [220, 20, 60]},
    ]
    ids = np.full((20, 30), 70000)
    ids[2:8, 2:8], ids[2:8, 8:12], ids[12:16, 12:16], ids[19] = 5, 300, 8345037, 0
    colors = np.dstack([ids % 256, ids // 256 % 256, ids // 65536])
    segments = [(300, 1, 0), (70000, 90, 0), (8345037, 1, 1), (5, 1, 0)]
    for number, split in ((7, "train2017"), (8, "val2017")):
        name = f"{number:012d}"
        Image.fromarray(np.full((20, 30), 80, np.uint8)).save(_parent(tmp_path / split / f"{name}.jpg"))
        save(tmp_path / "annotations" / f"panoptic_{split}" / f"{name}.png", colors)
        info = [
            {"id": i, "category_id": c, "iscrowd": crowd, "area": 1, "bbox": []} for i, c, crowd in segments
        ]
        content = {
            "images": [{"id": number, "file_name": f"{name}.jpg"}],
            "annotations": [{"image_id": number, "file_name": f"{name}.png", "segments_info": info}],
            "categories": categories,
        }
        (tmp_path / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def bsds(tmp_path: Path) -> Path:
    """BSDS500: in each split a wide and a high photo; annotator k of three sees regions 1 and k on either side."""
    for split in ("train", "val", "test"):
        for i, (height, width) in enumerate(((20, 30), (30, 20))):
            name = f"{split}{i}"
            people = np.empty((1, 3), object)
            for k in range(3):
                region = np.ones((height, width), np.uint16)
                region[:, 5 + 5 * k :] = k + 2
                people[0, k] = {"Segmentation": region, "Boundaries": np.zeros_like(region, np.uint8)}
            photo = np.full((height, width, 3), 60 + 40 * i, np.uint8)
            Image.fromarray(photo).save(_parent(tmp_path / f"data/images/{split}/{name}.jpg"))
            savemat(_parent(tmp_path / f"data/groundTruth/{split}/{name}.mat"), {"groundTruth": people})
        (tmp_path / f"data/images/{split}/Thumbs.db").touch()
    return tmp_path


LABELS_40 = (21, 11, 5, 59, 894, 1)
"""The labels, of 894, that stand for the classes of synthetic scenes in the fake of NYUv2."""


@pytest.fixture
def nyu(tmp_path: Path, pixel_scenes: list[Pixels]) -> Path:
    """NYUv2 in its official encoding: images 1 to 7, of which 2, 4, 5, 7 and 1 are trained on.

    Label i is class i % 40 + 1 of 40, and class c of 40 is class c % 13 + 1 of 13. The sky has instance 0.
    """
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        for name, planes in _nyu_arrays(pixel_scenes).items():
            file[name] = planes
        cells = []
        for i in range(len(pixel_scenes)):
            name = f"kitchen_{i // 2:04d}"
            file[f"#refs#/{i}"] = np.array([[ord(letter)] for letter in name], np.uint16)
            cells.append(file[f"#refs#/{i}"].ref)
        file["scenes"] = np.array([cells], h5py.ref_dtype)
    column = {"trainNdxs": [[2], [4], [5], [7], [1]], "testNdxs": [[3], [6]]}
    savemat(tmp_path / "splits.mat", {key: np.array(rows, np.uint16) for key, rows in column.items()})
    of_40 = (np.arange(1, 895) % 40 + 1).astype(np.uint8)
    names = np.array([[f"class {i}" for i in range(40)]], object)
    savemat(tmp_path / "classMapping40.mat", {"mapClass": of_40[None], "className": names})
    of_13 = (np.arange(1, 41) % 13 + 1).astype(np.uint8)
    struct = {"labels": of_13[None], "names": np.array([[f"class {i}" for i in range(13)]], object)}
    savemat(tmp_path / "class13Mapping.mat", {"classMapping13": struct})
    return tmp_path


def _nyu_arrays(pixel_scenes: list[Pixels]) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of the official file, with axes in reverse."""
    label, instance = [], []
    for _, semantic, region, _ in pixel_scenes:
        label.append(np.array([*LABELS_40, 0])[np.where(semantic == 255, 6, semantic)])
        numbers = np.zeros(region.shape, int)
        for c in range(1, 6):
            numbers[semantic == c] = np.unique(region[semantic == c], return_inverse=True)[1] + 1
        instance.append(numbers)
    depth = np.stack([scene.maps["depth"] for scene in pixel_scenes])
    return {
        "images": np.stack([scene.image for scene in pixel_scenes]).transpose(0, 3, 2, 1),
        "labels": np.stack(label).astype(np.uint16).transpose(0, 2, 1),
        "instances": np.stack(instance).astype(np.uint8).transpose(0, 2, 1),
        "depths": (depth + np.float32(1)).transpose(0, 2, 1),
        "rawDepths": depth.transpose(0, 2, 1),
    }


Scene = Callable[[Split, int], Labels]


@pytest.fixture
def scene() -> Scene:
    """The labels of synthetic scenes with void at the bottom, which fakes of official layouts are made of."""

    def labels(split: Split, index: int) -> Labels:
        semantic, region, _ = SyntheticScenes(split, 3, (48, 64)).labels(index)
        semantic[-4:] = 255
        region[-4:] = 0
        return Labels(semantic, region)

    return labels


def photo(path: Path, index: int) -> None:
    """Writes a photo of a scene's size."""
    Image.fromarray(np.full((48, 64, 3), 60 + 50 * index, np.uint8)).save(_parent(path))


def voc_map(path: Path, ids: npt.ArrayLike) -> None:
    """Writes palette indices in VOC's palette, which is written out here for the ids that occur."""
    image = Image.fromarray(np.asarray(ids, np.uint8))
    palette = np.zeros((256, 3), np.uint8)
    palette[[7, 12, 15, 20]] = (128, 128, 128), (64, 0, 128), (192, 128, 128), (0, 64, 128)
    palette[255] = 224, 224, 192
    image.putpalette(palette.tobytes())
    image.save(_parent(path))


def voc_labels(labels: Labels) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The ids of VOC's classes and objects: sky and ground are background, the things of four classes."""
    classes = np.zeros(256, np.uint8)
    classes[2:6], classes[255] = (15, 7, 12, 20), 255
    objects = np.where(labels.region > 2, labels.region - 2, 0)
    return classes[labels.semantic], np.where(labels.semantic == 255, 255, objects).astype(np.uint8)


@pytest.fixture
def voc(tmp_path: Path, scene: Scene) -> Path:
    """PASCAL VOC 2012: three scenes in either list, and two more photos without labels."""
    top = tmp_path / "VOCdevkit/VOC2012"
    for split in ("train", "val"):
        names = [f"{split}_{i}" for i in range(3)]
        save_text(top / f"ImageSets/Segmentation/{split}.txt", names)
        for i, name in enumerate(names):
            photo(top / f"JPEGImages/{name}.jpg", i)
            classes, objects = voc_labels(scene(split, i))
            voc_map(top / f"SegmentationClass/{name}.png", classes)
            voc_map(top / f"SegmentationObject/{name}.png", objects)
    for i in range(2):
        photo(top / f"JPEGImages/unlabeled_{i}.jpg", i)
    return tmp_path


@pytest.fixture
def sbd(voc: Path, scene: Scene) -> Path:
    """VOC with SBD beside it, which has two of VOC's validation photos, one of its training list and two of its own."""
    top = voc / "benchmark_RELEASE/dataset"
    save_text(top / "train.txt", ["val_0", "sbd_0", "train_1"])
    save_text(top / "val.txt", ["val_2", "sbd_1"])
    for i, name in enumerate(("sbd_0", "sbd_1", "val_0", "train_1", "val_2")):
        photo(top / f"img/{name}.jpg", i % 3)
        classes, objects = voc_labels(scene("test", i % 3))
        for file, variable, ids in (("cls", "GTcls", classes), ("inst", "GTinst", objects)):
            ids = np.where(ids == 255, 0, ids)
            boundaries = np.empty((20, 1), object)
            boundaries[:] = [[csc_matrix(ids.shape, dtype=bool)]] * 20
            struct = {"Boundaries": boundaries, "Segmentation": ids}
            savemat(_parent(top / f"{file}/{name}.mat"), {variable: struct}, do_compression=True)
    return voc


@pytest.fixture
def ade20k(tmp_path: Path, scene: Scene) -> Path:
    """SceneParsing150 with instances of the classes 13, 21 and 150, which are the categories 4, 9 and 100."""
    top = tmp_path / "ADEChallengeData2016"
    ids = np.zeros(256, np.uint8)
    ids[:6] = 3, 14, 13, 21, 5, 150
    categories = np.zeros(256, np.uint8)
    categories[[2, 3, 5]] = 4, 9, 100
    for split, folder, short in (("train", "training", "train"), ("val", "validation", "val")):
        for i in range(3):
            name = f"ADE_{short}_{i + 1:08d}"
            semantic, region, _ = scene(split, i)
            photo(top / f"images/{folder}/{name}.jpg", i)
            save(top / f"annotations/{folder}/{name}.png", ids[semantic])
            category = categories[semantic]
            number = np.where(category > 0, region, 0)
            save(
                tmp_path / f"annotations_instance/{folder}/{name}.png",
                np.dstack([category, number, 0 * number]),
            )
    # as in the official table, some numbers and names end with a space
    lines = [f"{i}{' ' * (i > 140)}\t0.1\t1\t1\tname {i}, other name " for i in range(1, 150)]
    lines.append("150\t0.1\t1\t1\tname 150 ")
    save_text(top / "objectInfo150.txt", ["Idx\tRatio\tTrain\tVal\tName", *lines])
    mapping = ["Instacne100\t\tSceneParse150\t\tFullADE20K", "4\t\t13\t\t1831", "9\t\t21\t\t401"]
    save_text(tmp_path / "ade20k_instance_catid_mapping.txt", [*mapping, "100\t\t150\t\t954"])
    return tmp_path


@pytest.fixture
def context_ids() -> dict[str, int]:
    """The ids of PASCAL-Context's 59 classes in the official list of 459, in whose spelling they are."""
    text = """2 aeroplane 9 bag 18 bed 19 bedclothes 22 bench 23 bicycle 25 bird 31 boat 33 book 34 bottle
        44 building 45 bus 46 cabinet 59 car 65 cat 68 ceiling 72 chair 80 cloth 85 computer 98 cow 104 cup
        105 curtain 113 dog 115 door 144 fence 158 floor 159 flower 162 food 187 grass 189 ground 207 horse
        220 keyboard 232 light 258 motorbike 259 mountain 260 mouse 284 person 295 plate 296 platform
        308 pottedplant 324 road 326 rock 347 sheep 349 shelves 354 sidewalk 355 sign 360 sky 366 snow 368 sofa
        397 table 415 track 416 train 420 tree 424 truck 427 tvmonitor 440 wall 445 water 454 window
        458 wood"""
    words = text.split()
    return {name: int(number) for number, name in zip(words[::2], words[1::2], strict=True)}


@pytest.fixture
def contexts(tmp_path: Path, scene: Scene, context_ids: dict[str, int]) -> Callable[[str], Path]:
    """Writes PASCAL-Context: the official MATLAB files (`mat`), or the PNGs of MMSegmentation (`png`)."""
    voc = tmp_path / "VOCdevkit/VOC2010"
    names = {i: name for name, i in context_ids.items()}
    shown = [context_ids[name] for name in ("sky", "ground", "person", "bedclothes", "table", "wood")]

    def written(encoding: str) -> Path:
        ids = np.zeros(256, np.uint16)
        ids[:6] = shown if encoding == "mat" else 1 + np.searchsorted(sorted(names), shown)
        ids[255] = 1 if encoding == "mat" else 0  # the first of 459 is none of the 59
        kind = "Main" if encoding == "mat" else "SegmentationContext"
        save_text(tmp_path / "labels.txt", [f"{i}: {names.get(i, f'other {i}')}" for i in range(1, 460)])
        for split in ("train", "val"):
            save_text(voc / f"ImageSets/{kind}/{split}.txt", [f"{split}_{i}" for i in range(3)])
            for i in range(3):
                photo(voc / f"JPEGImages/{split}_{i}.jpg", i)
                labels = ids[scene(split, i).semantic]
                if encoding == "mat":
                    savemat(_parent(tmp_path / f"trainval/{split}_{i}.mat"), {"LabelMap": labels})
                else:
                    save(voc / f"SegmentationClassContext/{split}_{i}.png", labels)
        return tmp_path

    return written


@pytest.fixture
def stanford(tmp_path: Path, pixel_scenes: list[Pixels]) -> Path:
    """The Stanford Background Dataset: classes, surfaces and layers as text; unknown is -1, layers skip ids."""
    for i, (image, semantic, region, _) in enumerate(pixel_scenes):
        name = f"{i:07d}"
        photo = _parent(tmp_path / "images" / f"{name}.jpg")
        Image.fromarray(image).save(photo, quality=100, subsampling=0)
        void = semantic == 255
        grids = {
            "regions": np.where(void, -1, semantic.astype(int)),
            "surfaces": np.where(void, -1, np.minimum(semantic, 2).astype(int)),
            "layers": np.where(region == 0, -1, 3 * region.astype(int) - 3),
        }
        for kind, grid in grids.items():
            np.savetxt(_parent(tmp_path / "labels" / f"{name}.{kind}.txt"), grid, "%d")
    (tmp_path / "horizons.txt").write_text("0000000 64 48 20\n")
    return tmp_path


@pytest.fixture
def context(contexts: Callable[[str], Path]) -> Path:
    """PASCAL-Context as it is downloaded."""
    return contexts("mat")


def save_text(path: Path, lines: Iterable[str]) -> None:
    """Writes lines."""
    _parent(path).write_text("".join(f"{line}\n" for line in lines))


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
