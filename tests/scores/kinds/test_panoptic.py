import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fusionseg.config.errors import UserError
from fusionseg.scores.kinds.panoptic import Options, score

CATEGORIES = [
    {"id": 3, "name": "car", "isthing": 1},
    {"id": 7, "name": "sky", "isthing": 0},
    {"id": 9, "name": "cat", "isthing": 1},
]


def write_ids(path: Path, ids: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack([ids % 256, ids // 256 % 256, ids // 65536], 2).astype(np.uint8)).save(path)


def read_ids(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.int64) @ np.array([1, 256, 65536])


def write_side(
    root: Path, content: dict[int, tuple[np.ndarray, list[tuple[int, int, int]]]], **more: Any
) -> Path:
    """Writes a JSON file and its PNG files; segments are (id, category, crowd)."""
    annotations = []
    for image, (ids, segments) in content.items():
        write_ids(root / "side" / f"{image:012}.png", ids)
        infos = [
            {"id": number, "category_id": category, "iscrowd": crowd, "area": int((ids == number).sum())}
            for number, category, crowd in segments
        ]
        annotations.append({"image_id": image, "file_name": f"{image:012}.png", "segments_info": infos})
    (root / "side.json").write_text(json.dumps({"annotations": annotations, **more}))
    return root / "side.json"


def official(truth: Path, prediction: Path) -> dict[str, float]:
    """Panoptic quality as panopticapi computes it, segment by segment."""
    true, predicted = (json.loads(path.read_text()) for path in (truth, prediction))
    found = {entry["image_id"]: entry for entry in predicted["annotations"]}
    iou, hits, wrong, missed = Counter(), Counter(), Counter(), Counter()
    for entry in true["annotations"]:
        other = found[entry["image_id"]]
        ids = read_ids(truth.with_suffix("") / entry["file_name"])
        guess = read_ids(prediction.with_suffix("") / other["file_name"])
        segments = {s["id"]: s for s in entry["segments_info"]}
        guesses = {s["id"]: s["category_id"] for s in other["segments_info"]}
        pairs = Counter(zip(ids.ravel().tolist(), guess.ravel().tolist(), strict=True))
        area = Counter(guess.ravel().tolist())
        matched_true, matched_guess = set(), set()
        for (a, b), both in pairs.items():
            if a not in segments or b not in guesses or segments[a]["iscrowd"]:
                continue
            if segments[a]["category_id"] != guesses[b]:
                continue
            overlap = both / (area[b] + segments[a]["area"] - both - pairs[0, b])
            if overlap > 0.5:
                hits[guesses[b]] += 1
                iou[guesses[b]] += overlap
                matched_true.add(a)
                matched_guess.add(b)
        crowds = {s["category_id"]: i for i, s in segments.items() if s["iscrowd"]}
        for i, s in segments.items():
            if i not in matched_true and not s["iscrowd"]:
                missed[s["category_id"]] += 1
        for b, category in guesses.items():
            if b in matched_guess:
                continue
            forgiven = pairs[0, b] + (pairs[crowds[category], b] if category in crowds else 0)
            if forgiven / area[b] <= 0.5:
                wrong[category] += 1
    figures = {}
    for suffix, chosen in (("", (0, 1)), ("_things", (1,)), ("_stuff", (0,))):
        values = []
        for category in true["categories"]:
            k = category["id"]
            if category["isthing"] in chosen and hits[k] + wrong[k] + missed[k]:
                total = hits[k] + wrong[k] / 2 + missed[k] / 2
                values.append((iou[k] / total, iou[k] / hits[k] if hits[k] else 0, hits[k] / total))
        figures |= dict(zip((f"{n}{suffix}" for n in ("pq", "sq", "rq")), np.mean(values, 0), strict=True))
    return figures


@pytest.mark.slow
def test_figures_are_panopticapis_on_changed_coco_annotations(data: Path, tmp_path: Path) -> None:
    source = data / "coco_panoptic" / "annotations" / "panoptic_val2017.json"
    content = json.loads(source.read_text())
    crowded = [e for e in content["annotations"] if any(s["iscrowd"] for s in e["segments_info"])]
    chosen = [*crowded[:3], *(e for e in content["annotations"] if e not in crowded)][:6]
    random = np.random.default_rng(0)
    true, predicted = {}, {}
    for entry in chosen:
        ids = read_ids(source.with_suffix("") / entry["file_name"])
        segments = [(s["id"], s["category_id"], s["iscrowd"]) for s in entry["segments_info"]]
        true[entry["image_id"]] = ids, segments
        moved = np.roll(ids, random.integers(2, 12, 2), (0, 1))
        merged = random.choice([s[0] for s in segments], 2)
        moved[moved == merged[0]] = merged[1]
        kept = [
            (i, random.choice([c, content["categories"][0]["id"]], p=[0.8, 0.2]).item(), 0)
            for i, c, _ in segments
            if (moved == i).any()
        ]
        predicted[entry["image_id"]] = moved, kept
    images = [image for image in content["images"] if image["id"] in true]
    truth = write_side(tmp_path / "true", true, images=images, categories=content["categories"])
    prediction = write_side(tmp_path / "predicted", predicted)
    scores = score(Options(truth, prediction, jobs=1))
    expected = official(truth, prediction)
    assert scores.metrics == pytest.approx(expected, rel=1e-12)
    assert 0.1 < scores.metrics["pq"] < 0.9
    assert score(Options(truth, prediction, jobs=2)) == scores


def test_the_reference_sample_is_perfect_against_itself(data: Path) -> None:
    file = data / "panoptic_sample" / "sample_data" / "panoptic_examples.json"
    scores = score(Options(file, file, jobs=1))
    assert scores.metrics["pq"] == scores.metrics["sq"] == scores.metrics["rq"] == 1
    assert len(scores.classes) == 8
    assert scores.images == 2


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    ids = np.array([[1, 1, 1, 2, 2, 2, 0, 0]])
    images = [{"id": 5, "file_name": "5.jpg"}]
    truth = write_side(
        tmp_path / "a", {5: (ids, [(1, 3, 0), (2, 7, 0)])}, images=images, categories=CATEGORIES
    )
    return truth, write_side(tmp_path / "b", {5: (ids * 300, [(300, 3, 0), (600, 9, 0)])})


def test_classes_that_neither_side_has_do_not_count(sides: tuple[Path, Path]) -> None:
    scores = score(Options(*sides, jobs=1))
    assert scores.metrics["pq"] == pytest.approx(1 / 3)
    assert {name: figures["pq"] for name, figures in scores.classes.items()} == {"car": 1, "sky": 0, "cat": 0}
    assert [(row["class"], row["tp"], row["fp"], row["fn"]) for row in scores.rows] == [
        ("car", 1, 0, 0),
        ("sky", 0, 0, 1),
        ("cat", 0, 1, 0),
    ]


def test_figures_of_things_alone_say_that_stuff_has_none(tmp_path: Path) -> None:
    categories = [{"id": 3, "name": "car", "isthing": 1}]
    images = [{"id": 5, "file_name": "5.jpg"}]
    ids = np.array([[1, 1, 0]])
    side = write_side(tmp_path / "a", {5: (ids, [(1, 3, 0)])}, images=images, categories=categories)
    scores = score(Options(side, side, jobs=1))
    assert scores.metrics["pq"] == 1
    assert scores.notices == ["undefined, as there is nothing to count: pq_stuff, sq_stuff, rq_stuff"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no image", r"no prediction of 5 in .*side.json; no truth of 6 in"),
        ("no file", r"found no 000000000005"),
        ("no folder", "found no .*--prediction-masks"),
        ("no segment", r"segment ids that the JSON file lists, found \[600\] in .*005.png"),
        ("no category", "found the unknown category 4 in image 5 in .*b/side.json"),
        ("no pixel", r"pixels of every segment that the JSON file lists, found none of \[900\] in"),
        ("a folder", "expected a JSON file, found the folder .*--layout cityscapes"),
        ("no segments", "expected true segments, found none in .*side.json"),
        ("other size", r"found \(1, 8\) in .*a/side/.*, \(2, 8\) in .*b/side/"),
        ("nowhere", "found no .*nowhere"),
    ],
)
def test_what_does_not_fit_is_named(
    change: str, message: str, sides: tuple[Path, Path], tmp_path: Path
) -> None:
    truth, prediction = sides
    ids = np.array([[1, 1, 1, 2, 2, 2, 0, 0]]) * 300
    segments = [(300, 3, 0), (600, 9, 0)]
    if change == "no image":
        write_side(tmp_path / "b", {6: (ids, segments)})
    elif change == "no file":
        (tmp_path / "b/side/000000000005.png").rename(tmp_path / "b/side/other.png")
    elif change == "no folder":
        (tmp_path / "b/side").rename(tmp_path / "b/moved")
    elif change == "no segment":
        write_side(tmp_path / "b", {5: (ids, segments[:1])})
    elif change == "no category":
        write_side(tmp_path / "b", {5: (ids, [(300, 3, 0), (600, 4, 0)])})
    elif change == "no pixel":
        write_side(tmp_path / "b", {5: (ids, [*segments, (900, 3, 0)])})
    elif change == "a folder":
        prediction = tmp_path / "b"
    elif change == "no segments":
        content = json.loads(truth.read_text())
        content["annotations"][0]["segments_info"] = []
        truth.write_text(json.dumps(content))
        write_ids(tmp_path / "a/side/000000000005.png", 0 * ids)
    elif change == "other size":
        write_side(tmp_path / "b", {5: (ids.repeat(2, 0), segments)})
    else:
        prediction = tmp_path / "nowhere.json"
    with pytest.raises(UserError, match=message):
        score(Options(truth, prediction, jobs=1))


def test_png_files_may_lie_elsewhere(sides: tuple[Path, Path], tmp_path: Path) -> None:
    expected = score(Options(*sides, jobs=1)).metrics
    (tmp_path / "b/side").rename(tmp_path / "masks")
    assert score(Options(*sides, prediction_masks=tmp_path / "masks", jobs=1)).metrics == expected


def test_id_files_of_cityscapes_are_segments_and_crowds(tmp_path: Path) -> None:
    name = "frankfurt_000000_000294"
    for folder in ("true", "predicted"):
        (tmp_path / folder / "frankfurt").mkdir(parents=True)
    # road, two cars, a group of cars, a parking lot that is not evaluated
    true = np.repeat([7, 26001, 26002, 26, 9], [4, 3, 3, 4, 2])[None].astype(np.uint16)
    predicted = np.repeat([7, 26001, 26005, 26007, 8], [4, 3, 3, 4, 2])[None].astype(np.uint16)
    Image.fromarray(true).save(tmp_path / f"true/frankfurt/{name}_gtFine_instanceIds.png")
    Image.fromarray(true * 0).save(tmp_path / f"true/frankfurt/{name}_gtFine_labelIds.png")
    Image.fromarray(predicted).save(tmp_path / f"predicted/frankfurt/{name}_anything.png")
    scores = score(Options(tmp_path / "true", tmp_path / "predicted", layout="cityscapes", jobs=1))
    assert scores.metrics["pq"] == 1
    assert [(row["class"], row["tp"], row["fp"], row["fn"]) for row in scores.rows] == [
        ("road", 1, 0, 0),
        ("car", 2, 0, 0),
    ]
    Image.fromarray(predicted).save(tmp_path / "predicted/strange.png")
    with pytest.raises(UserError, match=r"<city>_<6 digits>.* found strange.png"):
        score(Options(tmp_path / "true", tmp_path / "predicted", layout="cityscapes", jobs=1))


def test_the_sample_of_cityscapes_is_perfect_against_itself(data: Path) -> None:
    folder = data / "cityscapes_sample" / "gtFine" / "val"
    scores = score(Options(folder, folder, layout="cityscapes", jobs=1))
    assert scores.metrics["pq"] == 1
    assert {"road", "car", "person"} <= scores.classes.keys()


def test_a_predicted_thing_without_number_is_no_instance_of_its_class(tmp_path: Path) -> None:
    name = "frankfurt_000000_000294_gtFine_instanceIds.png"
    for folder in ("true", "predicted"):
        (tmp_path / folder).mkdir()
    # 24024 is person 24; a map that says 24 elsewhere has another segment of that class
    true = np.repeat([24024, 7], [6, 6])[None].astype(np.uint16)
    predicted = np.repeat([24024, 24], [6, 6])[None].astype(np.uint16)
    Image.fromarray(true).save(tmp_path / "true" / name)
    Image.fromarray(predicted).save(tmp_path / "predicted" / name)
    scores = score(Options(tmp_path / "true", tmp_path / "predicted", layout="cityscapes", jobs=1))
    person = next(row for row in scores.rows if row["class"] == "person")
    assert (person["tp"], person["fp"], person["iou"]) == (1, 1, 1)


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
def test_other_files_of_cityscapes_are_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((2, 3), 7, np.uint8)).save(tmp_path / f"a/bonn_000000_000019_gtFine_{kind}.png")
    with pytest.raises(UserError, match=f"expected files of instanceIds in .*{kind}.png"):
        score(Options(tmp_path / "a", tmp_path / "a", layout="cityscapes", jobs=1))


ADE_MAPPING = "ins_id\tsem_id\tfull_id\n" + "".join(
    f"{category}\t{label}\t{label * 7}\n" for category, label in ((1, 8), (2, 13), (3, 21), (4, 44), (5, 127))
)


def write_ade(root: Path, name: str, semantic: np.ndarray, instances: np.ndarray) -> None:
    for folder, pixels in (("annotations", semantic), ("annotations_instance", instances)):
        (root / folder / "validation").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(root / folder / "validation" / f"{name}.png")


def ade_segments(
    semantic: np.ndarray, instances: np.ndarray
) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """The segments of an image as COCO has them, one after the other: first stuff, then things over it."""
    things = {1: 8, 2: 13, 3: 21, 4: 44, 5: 127}
    ids = np.zeros(semantic.shape, np.int64)
    categories = {}
    for label in set(np.unique(semantic).tolist()) - {0, *things.values()}:
        categories[len(categories) + 1] = label
        ids[semantic == label] = len(categories)
    for category, number in {tuple(color[:2]) for color in instances.reshape(-1, 3).tolist()}:
        if number:
            categories[len(categories) + 1] = things[category]
            ids[(instances[..., 0] == category) & (instances[..., 1] == number)] = len(categories)
    return ids, [(number, label, 0) for number, label in categories.items() if (ids == number).any()]


@pytest.fixture
def ade(data: Path, tmp_path: Path) -> Path:
    """Real maps of classes, with instances that are blocks of their things, as truth and moved as prediction."""
    random = np.random.default_rng(0)
    (tmp_path / "true").mkdir()
    (tmp_path / "true" / "ade20k_instance_catid_mapping.txt").write_text(ADE_MAPPING)
    for file in sorted((data / "ade20k" / "ADEChallengeData2016" / "annotations").rglob("*.png")):
        with Image.open(file) as image:
            semantic = np.asarray(image)
        rows, columns = np.indices(semantic.shape)
        number = 1 + (rows // 150) * 5 + columns // 200
        category = np.select([semantic == label for label in (8, 13, 21, 44, 127)], [1, 2, 3, 4, 5])
        known = (category > 0) & (random.random(20)[number % 20] < 0.8)
        instances = np.stack([np.where(known, category, 9), np.where(known, number, 0), 0 * number], 2)
        write_ade(tmp_path / "true", file.stem, semantic, instances)
        moved = (np.roll(maps, (7, 11), (0, 1)) for maps in (semantic, instances))
        write_ade(tmp_path / "predicted", file.stem, *moved)
    return tmp_path


@pytest.mark.slow
def test_id_files_of_ade20k_are_scored_as_their_segments_are(ade: Path) -> None:
    sides = [ade / side / "annotations" / "validation" for side in ("true", "predicted")]
    scores = score(Options(*sides, layout="ade20k", jobs=1))
    assert 0.2 < scores.metrics["pq"] < 0.95
    contents: list[dict[int, Any]] = []
    for side in ("true", "predicted"):
        files = sorted((ade / side / "annotations" / "validation").iterdir())
        maps = [
            [np.asarray(Image.open(ade / side / folder / "validation" / file.name)) for file in files]
            for folder in ("annotations", "annotations_instance")
        ]
        contents.append({i: ade_segments(*pair) for i, pair in enumerate(zip(*maps, strict=True))})
    more = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in contents[0]],
        "categories": [
            {"id": label, "name": str(label), "isthing": int(label in (8, 13, 21, 44, 127))}
            for label in range(1, 151)
        ],
    }
    files = [write_side(ade / side, content, **more) for side, content in zip("ab", contents, strict=True)]
    assert scores.metrics == pytest.approx(official(*files), rel=1e-12)
    expected = score(Options(*files, jobs=1))
    assert scores.classes == expected.classes
    (ade / "true" / "objectInfo150.txt").write_text(
        "Idx\tRatio\tTrain\tVal\tName\n"
        + "".join(f"{i}\t0.1\t5\t5\tname {i}\n" for i in range(1, 151))
        + "\nno table\n"
    )
    named = score(Options(*sides, layout="ade20k", jobs=1))
    assert named.classes == {f"name {name}": figures for name, figures in scores.classes.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "no mapping",
            r"expected ade20k_instance_catid_mapping.txt in a folder above .*: name it with --mapping",
        ),
        ("no instances", "instances of .*predicted.*name it with --prediction-masks"),
        ("no file", "a file of instances for each file of .*true.* found no one in"),
        ("other mapping", "categories from 1 to 255 of classes from 1 to 150 in .*, found others"),
        ("no numbers", "a header and lines of ins_id, sem_id, full_id in"),
        ("other category", r"the categories of ade.*, found \[77\] in .*one.png"),
        ("other class", r"class ids from 0 \(void\) to 150, found 0 to 151 in .*one.png"),
        ("other size", "classes and instances of one size"),
        ("a file", "expected a folder of id files, found the file .*--layout coco"),
    ],
)
def test_what_does_not_fit_in_ade20k_is_named(change: str, message: str, tmp_path: Path) -> None:
    semantic = np.array([[0, 8, 8, 1, 1, 1]])
    instances = np.array([[[0, 0, 0], [1, 1, 0], [1, 2, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]])
    mapping = tmp_path / "ade20k_instance_catid_mapping.txt"
    mapping.write_text(ADE_MAPPING)
    for side in ("true", "predicted"):
        write_ade(tmp_path / side, "one", semantic, instances)
    truth, prediction = (tmp_path / side / "annotations" / "validation" for side in ("true", "predicted"))
    assert score(Options(truth, prediction, layout="ade20k", jobs=1)).metrics["pq"] == 1
    if change == "no mapping":
        mapping.unlink()
    elif change == "no instances":
        (tmp_path / "predicted/annotations_instance").rename(tmp_path / "elsewhere")
    elif change == "no file":
        file = tmp_path / "true/annotations_instance/validation/one.png"
        file.rename(file.with_name("two.png"))
    elif change == "other mapping":
        mapping.write_text("header\n1 151\n")
    elif change == "no numbers":
        mapping.write_text("header\nwall 8\n")
    elif change == "other category":
        write_ade(tmp_path / "predicted", "one", semantic, instances + np.array([76, 0, 0]) * (instances > 0))
    elif change == "other class":
        write_ade(tmp_path / "predicted", "one", np.where(semantic == 1, 151, semantic), instances)
    elif change == "other size":
        write_ade(tmp_path / "predicted", "one", semantic[:, :3], instances)
    else:
        truth = mapping
    with pytest.raises(UserError, match=message):
        score(Options(truth, prediction, layout="ade20k", jobs=1))


@pytest.mark.parametrize(
    ("number", "wanted"),
    [
        *((number, "classes from 0 to 33") for number in (34, 99, 65535, 255)),
        (13001, "the classes 24 to 33 alone"),
    ],
)
def test_ids_that_no_class_of_cityscapes_has_are_refused(number: int, wanted: str, tmp_path: Path) -> None:
    name = "frankfurt_000000_000294_gtFine_instanceIds.png"
    for folder, ids in (("true", [7, 26001]), ("predicted", [7, number])):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.array([ids], np.uint16)).save(tmp_path / folder / name)
    with pytest.raises(UserError, match=rf"{wanted}, .*found \[{number}\] in .*train ids"):
        score(Options(tmp_path / "true", tmp_path / "predicted", layout="cityscapes", jobs=1))


@pytest.mark.parametrize(
    ("key", "value"), [("iscrowd", "0"), ("iscrowd", 2), ("id", 1.7), ("id", "1"), ("id", -1)]
)
def test_numbers_of_segments_are_whole(key: str, value: object, sides: tuple[Path, Path]) -> None:
    content = json.loads(sides[1].read_text())
    content["annotations"][0]["segments_info"][0][key] = value
    sides[1].write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"found {key} {value!r} in .*side.json"):
        score(Options(*sides, jobs=1))


def test_kinds_of_categories_are_whole(sides: tuple[Path, Path]) -> None:
    content = json.loads(sides[0].read_text())
    content["categories"][0]["isthing"] = "0"
    sides[0].write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"found isthing '0' in .*side.json"):
        score(Options(*sides, jobs=1))


def test_categories_of_a_prediction_are_the_truth_s(sides: tuple[Path, Path]) -> None:
    expected = score(Options(*sides, jobs=1)).metrics
    content = json.loads(sides[1].read_text())
    sides[1].write_text(json.dumps({**content, "categories": CATEGORIES}))
    assert score(Options(*sides, jobs=1)).metrics == expected
    swapped = [{**CATEGORIES[0], "name": "sky"}, {**CATEGORIES[1], "name": "car"}]
    sides[1].write_text(json.dumps({**content, "categories": swapped}))
    with pytest.raises(UserError, match="categories that are not the truth's, 3 is 'sky' and not 'car'"):
        score(Options(*sides, jobs=1))
