import colorsys
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from fusionseg.corruptions import CORRUPTIONS
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import Pixels
from fusionseg.data.crops import view
from fusionseg.data.samples import TrainSamples
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.data.warping import warped

RNG = np.random.default_rng
GEOMETRY: dict[str, Any] = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


def pixels(height: int = 40, width: int = 56, channels: int = 3) -> Pixels:
    rng = RNG(0)
    return Pixels(
        rng.integers(0, 256, (height, width, channels), dtype=np.uint8),
        rng.integers(0, 9, (height, width), dtype=np.uint8),
        rng.integers(1, 60000, (height, width), dtype=np.uint16),
    )


def same(a: Pixels, b: Pixels) -> bool:
    return all(map(np.array_equal, a[:3], b[:3]))


def cut(given: Pixels, rows: slice, columns: slice) -> Pixels:
    return Pixels(given.image[rows, columns], given.semantic[rows, columns], given.region[rows, columns])


@pytest.mark.parametrize("channels", [3, 4, 6])
def test_identity_returns_the_input(channels: int) -> None:
    given = pixels(channels=channels)
    assert same(Augmentation.none()(given, (40, 56), 1.0, RNG(0)), given)


@pytest.mark.parametrize(("dtype", "top"), [(np.uint16, 65535), (np.float32, 1)])
@pytest.mark.parametrize("channels", [3, 6])
def test_images_of_all_types_have_the_same_views(dtype: type, top: int, channels: int) -> None:
    given = SyntheticScenes("train", length=1).read(0)
    given = given._replace(image=np.dstack([given.image, given.image])[..., :channels])
    wide = given._replace(image=(given.image / 255 * top).astype(dtype))
    for seed in range(5):
        expected = Augmentation()(given, (64, 96), 1.0, RNG(seed)).image / 255
        found = Augmentation()(wide, (64, 96), 1.0, RNG(seed)).image
        assert found.dtype == dtype
        assert found.max() <= top
        assert np.abs(found / top - expected).max() < 0.03, "8 bits are rounded three times"


def test_a_flip_is_exact() -> None:
    given = pixels()
    found = Augmentation((1.0, 1.0), 0.0, flip=1.0, **GEOMETRY)(given, (40, 56), 1.0, RNG(0))
    assert same(found, cut(given, slice(None), slice(None, None, -1)))


def test_a_crop_without_zoom_is_a_window_of_the_image() -> None:
    given, places = pixels(), set()
    for seed in range(60):
        found = Augmentation.none()(given, (32, 32), 1.0, RNG(seed))
        ((top, left),) = np.argwhere(given.region == found.region[0, 0])[:1]
        assert same(found, cut(given, slice(top, top + 32), slice(left, left + 32)))
        places.add((int(top), int(left)))
    assert {top for top, _ in places} == set(range(9))
    assert {left for _, left in places} >= {0, 24}


def test_an_image_smaller_than_the_crop_lies_whole_within_it() -> None:
    given = pixels()
    for seed in range(20):
        found = Augmentation.none()(given, (64, 96), 1.0, RNG(seed))
        ys, xs = np.nonzero(found.region)
        window = (slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1))
        assert same(cut(found, *window), given)
        outside = np.ones((64, 96), bool)
        outside[window] = False
        assert (found.semantic[outside] == 255).all()
        assert np.abs(found.image[outside] - given.image.mean((0, 1))).max() <= 1


def test_zoom_by_two_doubles_every_label_pixel() -> None:
    given = pixels(32, 32)
    found = Augmentation.none()(given, (64, 64), 2.0, RNG(0))
    assert np.array_equal(found.region, given.region.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(found.semantic, given.semantic.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("zoom", [0.5, 0.25])
def test_a_small_view_averages_the_image(zoom: float) -> None:
    """A checkerboard of single pixels is gray from afar; sampling it would show black, white or stripes."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    given = Pixels(np.dstack([board] * 3), np.zeros((64, 64), np.uint8), np.ones((64, 64), np.uint16))
    found = Augmentation.none()(given, (int(64 * zoom), int(64 * zoom)), zoom, RNG(0))
    assert np.abs(found.image.astype(int) - 127).max() <= 1


def nearest(
    labels: npt.NDArray[Any], warp: npt.NDArray[np.float64], size: tuple[int, int], void: int
) -> npt.NDArray[Any]:
    """The slow definition of a view: the label of the pixel that holds the place where each center comes from."""
    found = np.full(size, void, labels.dtype)
    for y, x in np.ndindex(size):
        column, row = np.floor(warp @ (x + 0.5, y + 0.5, 1.0)).astype(int)
        if 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]:
            found[y, x] = labels[row, column]
    return found


def drawn(
    seed: int, size: tuple[int, int], crop: tuple[int, int], augmentation: Augmentation
) -> npt.NDArray[np.float64]:
    """The view that an augmentation draws first of all from a generator."""
    rng = RNG(seed)
    zoom = np.exp(rng.uniform(*np.log(augmentation.scale)))
    turn = np.radians(rng.uniform(-augmentation.rotation, augmentation.rotation))
    mirror = -1.0 if rng.random() < augmentation.flip else 1.0
    return view(size, crop, zoom, turn, mirror, rng.random(2))


def test_labels_are_those_of_the_nearest_pixels() -> None:
    given, augmentation = pixels(), Augmentation((0.4, 2.5), 30.0, **GEOMETRY)
    for seed in range(6):
        warp = drawn(seed, (40, 56), (32, 32), augmentation)
        found = augmentation(given, (32, 32), 1.0, RNG(seed))
        # OpenCV computes in fixed point: a center within a thousandth of an edge may fall to either side.
        assert (found.region != nearest(given.region, warp, (32, 32), 0)).mean() < 0.01
        assert (found.semantic != nearest(given.semantic, warp, (32, 32), 255)).mean() < 0.01


def test_image_values_are_those_of_the_place_they_come_from() -> None:
    """The image is a ramp of coordinates, so its values tell where they come from to a fraction of a pixel."""
    y, x = np.indices((60, 60))
    given = Pixels(np.dstack([x * 4, y * 4, y]).astype(np.uint8), x.astype(np.uint8), y.astype(np.uint16))
    augmentation = Augmentation(scale=(0.3, 2.5), rotation=30.0, **GEOMETRY)
    for seed in range(12):
        found = augmentation(given, (48, 48), 1.0, RNG(seed)).image.astype(float)
        rows, columns = np.indices((48, 48)) + 0.5
        place = drawn(seed, (60, 60), (48, 48), augmentation) @ np.stack(
            [columns.ravel(), rows.ravel(), np.ones(48**2)]
        )
        inside = ((place > 4) & (place < 56)).all(0)
        apart = found[..., :2].reshape(-1, 2).T[:, inside] / 4 - (place[:, inside] - 0.5)
        assert inside.sum() > 100
        assert np.abs(apart).max() < 0.25
        assert np.abs(apart.mean(1)).max() < 0.05


def test_views_hold_only_labels_of_the_image() -> None:
    given = SyntheticScenes("train").read(0)
    for seed in range(20):
        found = Augmentation()(given, (64, 64), 1.0, RNG(seed))
        assert set(np.unique(found.region)) <= {0, *np.unique(given.region)}
        assert set(np.unique(found.semantic)) <= {255, *np.unique(given.semantic)}
        assert ((found.semantic == 255) == (found.region == 0)).all()


def test_a_crop_of_a_large_image_shows_nothing_beyond_it() -> None:
    given = pixels(300, 300)
    for seed in range(20):
        assert Augmentation((0.7, 2.0), 10.0)(given, (96, 96), 1.0, RNG(seed)).region.all()


def test_chance_is_the_generator_alone() -> None:
    given = pixels()
    views = [Augmentation()(given, (32, 32), 1.0, RNG(seed)) for seed in (1, 1, 2)]
    assert same(views[0], views[1])
    assert not same(views[0], views[2])


def ball(size: int, center: tuple[float, float], radius: float) -> dict[str, npt.NDArray[np.float32]]:
    """Depth and normals of a ball seen from afar, one pixel wide in meters; all around it is invalid."""
    y, x = np.mgrid[:size, :size].astype(np.float64)
    y, x = (y - center[0]) / radius, (x - center[1]) / radius
    inside = np.hypot(x, y) < 0.95
    towards = np.sqrt(np.where(inside, 1 - x**2 - y**2, 1))
    depth = np.where(inside, 3 * radius - radius * towards, 0).astype(np.float32)
    normals = np.where(inside[..., None], np.dstack((x, y, -towards)), 0).astype(np.float32)
    return {"depth": depth, "normals": normals}


def plane(size: int, slope: tuple[float, float]) -> dict[str, npt.NDArray[np.float32]]:
    """Depth and normals of a plane by its derivatives in x and y, one pixel wide in meters."""
    y, x = np.mgrid[:size, :size]
    normal = np.array([*slope, -1.0]) / np.linalg.norm([*slope, 1.0])
    depth = (900 + slope[0] * x + slope[1] * y).astype(np.float32)
    return {"depth": depth, "normals": np.tile(normal.astype(np.float32), (size, size, 1))}


def with_maps(maps: dict[str, npt.NDArray[np.float32]]) -> Pixels:
    height, width = next(iter(maps.values())).shape[:2]
    return pixels(height, width)._replace(maps=maps)


def test_normals_of_a_mirrored_view_are_those_of_its_depth() -> None:
    """A wave has another slope everywhere; its normals come from finite differences, before and after."""
    y, x = np.mgrid[:48, :64].astype(np.float64)
    depth = 50 + 4 * np.sin(x / 7 + y / 11) + 0.3 * x - 0.2 * y

    def differences(depth: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        along_y, along_x = np.gradient(depth.astype(np.float64))
        normals: npt.NDArray[np.float64] = np.dstack((along_x, along_y, np.full(depth.shape, -1.0)))
        normals /= np.linalg.norm(normals, axis=2, keepdims=True)
        return normals

    given = with_maps({"depth": depth.astype(np.float32), "normals": differences(depth).astype(np.float32)})
    found = Augmentation((1.0, 1.0), 0.0, flip=1.0, **GEOMETRY)(given, (48, 64), 1.0, RNG(0)).maps
    assert np.array_equal(found["depth"], given.maps["depth"][:, ::-1])
    assert np.abs(found["normals"] - differences(found["depth"])).max() < 1e-5
    assert np.abs(found["normals"] - given.maps["normals"][:, ::-1]).max() > 0.5


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_normals_of_a_rotated_plane_are_those_of_the_plane_through_its_depths(flip: float) -> None:
    """The reference is a least squares fit: the slopes of the view's own depth values."""
    augmentation = Augmentation((1.0, 1.0), 180.0, flip, **GEOMETRY)
    rows, columns = np.indices((60, 60))
    for seed, slope in enumerate([(0.5, 0.0), (0.0, -1.0), (0.7, 0.4), (-0.2, 0.9), (1.0, -0.6)]):
        found = augmentation(with_maps(plane(100, slope)), (60, 60), 1.0, RNG(seed)).maps
        inside = found["depth"] > 0
        places = np.column_stack((columns[inside], rows[inside], np.ones(inside.sum())))
        fitted = np.linalg.lstsq(places, found["depth"][inside].astype(np.float64))[0]
        expected = np.array([fitted[0], fitted[1], -1]) / np.linalg.norm([fitted[0], fitted[1], 1])
        assert inside.sum() > 1000
        assert np.abs(found["normals"][inside] - expected).max() < 3e-3


def test_normals_of_a_ball_point_away_from_its_middle_in_every_view() -> None:
    given = with_maps(ball(120, (60.0, 60.0), 40.0))
    augmentation = Augmentation((0.5, 1.5), 180.0, **GEOMETRY)
    whole = 0
    for seed in range(12):
        rng = RNG(seed)
        zoom = np.exp(rng.uniform(*np.log(augmentation.scale)))
        found = augmentation(given, (200, 200), 1.0, RNG(seed)).maps
        valid = found["depth"] > 0
        assert np.array_equal(valid, found["normals"].any(2))
        rows, columns = np.nonzero(valid)
        if min(rows.min(), columns.min()) == 0 or max(rows.max(), columns.max()) == 199:
            continue
        whole += 1
        x, y = (axis - axis.mean() for axis in (columns, rows))
        normals = found["normals"][valid]
        assert np.abs(normals[:, 0] - x / (40 * zoom)).max() < 0.06
        assert np.abs(normals[:, 1] - y / (40 * zoom)).max() < 0.06
        # a ball's depth says the third component: 3 r at its middle plane
        assert np.abs(normals[:, 2] - (found["depth"][valid] / 40 - 3)).max() < 1e-5
        assert np.abs(np.linalg.norm(normals, axis=1) - 1).max() < 1e-5
    assert whole >= 6


@pytest.mark.parametrize("channels", [0, 1, 3, 6])
def test_maps_are_sampled_as_regions_are_and_invalid_beyond_the_image(channels: int) -> None:
    given = pixels()
    values = given.region.astype(np.float32)
    stack = values if channels == 0 else np.dstack([values * (i + 1) for i in range(channels)])
    stack = stack.reshape(40, 56, *[channels] * (channels > 0))
    augmentation = Augmentation((0.3, 2.5), 90.0, **GEOMETRY)
    for seed in range(6):
        found = augmentation(given._replace(maps={"further": stack}), (48, 64), 1.0, RNG(seed))
        further = found.maps["further"]
        assert further.shape == (48, 64, *stack.shape[2:])
        assert further.dtype == np.float32
        for i in range(max(channels, 1)):
            channel = further if channels == 0 else further[..., i]
            assert np.array_equal(channel, found.region.astype(np.float32) * (i + 1))


def test_depth_is_divided_by_the_random_zoom_only_if_asked() -> None:
    given = with_maps(plane(64, (0.3, 0.1)))
    views = [
        Augmentation((2.0, 2.0), 20.0, depth_by_zoom=divided)(given, (48, 48), 0.5, RNG(1)).maps
        for divided in (False, True)
    ]
    kept, divided = (view["depth"] for view in views)
    assert kept.any()
    assert set(np.unique(kept)) <= {0, *np.unique(given.maps["depth"])}
    assert np.array_equal(divided, kept / 2)
    assert np.array_equal(views[0]["normals"], views[1]["normals"])


def test_disparity_is_multiplied_where_depth_is_divided() -> None:
    depth = np.full((40, 56), 8, np.float32)
    given = pixels()._replace(maps={"depth": depth, "disparity": 4 / depth})
    for divided in (False, True):
        maps = Augmentation((2.0, 2.0), depth_by_zoom=divided)(given, (32, 32), 0.5, RNG(1)).maps
        assert maps["depth"].any()
        assert np.array_equal(maps["disparity"] * maps["depth"], 4 * (maps["depth"] > 0))


def test_maps_change_nothing_of_image_and_labels() -> None:
    given = pixels()
    maps = {"depth": RNG(1).random((40, 56), np.float32), "normals": RNG(1).random((40, 56, 3), np.float32)}
    for seed in range(5):
        alone = Augmentation()(given, (32, 32), 1.0, RNG(seed))
        assert same(Augmentation()(given._replace(maps=maps), (32, 32), 1.0, RNG(seed)), alone)
        assert not alone.maps


def test_brightness_contrast_and_saturation_follow_their_definitions() -> None:
    image = RNG(0).integers(60, 160, (8, 8, 3), dtype=np.uint8)
    gray = image @ np.array([0.299, 0.587, 0.114])
    for name, mean in (("brightness", 0.0), ("contrast", gray.mean()), ("saturation", gray[..., None])):
        factor = 1 + RNG(5).uniform(-0.4, 0.4, 4)[list(GEOMETRY).index(name)]
        expected = mean + factor * (image - mean)
        found = _drawn(name, 0.4).color(image, RNG(5))
        assert np.abs(found - expected.clip(0, 255)).max() <= 1, name


def _drawn(name: str, value: float) -> Augmentation:
    return Augmentation((1.0, 1.0), 0.0, 0.0, **GEOMETRY | {name: value})


def test_hue_keeps_the_gray_and_turns_the_chroma() -> None:
    image = RNG(0).integers(90, 160, (8, 8, 3), dtype=np.uint8)
    found = _drawn("hue", 0.1).color(image, RNG(5))
    turn = 2 * np.pi * RNG(5).uniform(-0.1, 0.1, 4)[3]
    before, after = (_yiq(x) for x in (image, found))
    assert np.abs(after[..., 0] - before[..., 0]).max() < 1
    turned = (before[..., 1] + 1j * before[..., 2]) * np.exp(1j * turn)
    assert np.abs(turned - (after[..., 1] + 1j * after[..., 2])).max() < 1.5


def _yiq(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    found = [colorsys.rgb_to_yiq(*(pixel / 255)) for pixel in image.reshape(-1, 3).astype(float)]
    return 255 * np.array(found).reshape(image.shape)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_color_of_a_gray_image_is_that_of_the_same_in_rgb(dtype: type) -> None:
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    gray = (np.random.default_rng(0).random((9, 12, 1)) * top).astype(dtype)
    augmentation = Augmentation(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
    for seed in range(5):
        found = augmentation.color(gray, np.random.default_rng(seed))
        colors = augmentation.color(np.repeat(gray, 3, 2), np.random.default_rng(seed))
        assert found.shape == gray.shape
        assert found.dtype == dtype
        assert np.abs(found.astype(float) - colors).max() <= (1e-5 if dtype is np.float32 else 1)
        assert not np.array_equal(found, gray)


def test_color_leaves_further_channels_alone() -> None:
    given = pixels(channels=5)
    found = Augmentation().color(given.image, RNG(0))
    assert np.array_equal(found[..., 3:], given.image[..., 3:])
    assert not np.array_equal(found[..., :3], given.image[..., :3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": (2.0, 0.5)}, "smallest <= largest"),
        ({"scale": (0.0, 1.0)}, "0 < smallest"),
        ({"flip": 1.5}, "probability"),
        ({"hue": 0.6}, r"hue in \[0, 0.5\]"),
        ({"contrast": -0.1}, r"contrast in \[0, 1\]"),
        ({"rotation": float("nan")}, r"rotation in \[0, 180\] degrees, found nan"),
        ({"scale": (1.0, float("inf"))}, "smallest <= largest"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**arguments)


def test_the_families_of_corruptions_that_views_show_are_named() -> None:
    assert Augmentation.none().families == ()
    assert Augmentation(rotation=0.0).families == ("photometric",)
    assert Augmentation(**GEOMETRY).families == ("geometric",)
    assert Augmentation(rotation=0.0, **{**GEOMETRY, "hue": 0.1}).families == ("photometric",)
    assert {corruption.family for corruption in CORRUPTIONS} >= set(Augmentation().families)


def numbered(height: int, width: int) -> Pixels:
    """An image whose regions are the numbers of its pixels, with a depth of 6 m."""
    region = 1 + np.arange(height * width, dtype=np.uint16).reshape(height, width)
    image = np.zeros((height, width, 3), np.uint8)
    return Pixels(
        image, np.zeros((height, width), np.uint8), region, {"depth": np.full_like(region, 6, "f4")}
    )


def test_zooms_are_drawn_from_a_list_all_as_often() -> None:
    given = numbered(36, 48)
    augmentation = Augmentation(zooms=[1.0, 1.2, 1.5], rotation=0.0, flip=0.0, depth_by_zoom=True)
    seen = [float(augmentation(given, (36, 48), 1.0, RNG(i)).maps["depth"][0, 0]) for i in range(900)]
    depths, counts = np.unique(np.array(seen, np.float32), return_counts=True)
    assert depths.tolist() == np.array([6 / 1.5, 6 / 1.2, 6], np.float32).tolist()
    assert (abs(counts - 300) < 4 * (900 * 2 / 9) ** 0.5).all(), "four standard deviations"


@pytest.mark.parametrize("zoom", [1.0, 1.5, 2.0])
def test_a_centered_crop_is_the_middle_of_the_image(zoom: float) -> None:
    given = numbered(36, 48)
    found = Augmentation(zooms=[zoom], rotation=0.0, flip=0.0, centered=True)(given, (36, 48), 1.0, RNG(0))
    shown = Augmentation(zooms=[zoom], rotation=0.0, flip=0.0, centered=True)(given, (36, 48), 1.0, RNG(7))
    assert (found.region == shown.region).all()
    rows, columns = np.divmod(found.region.astype(int) - 1, 48)
    for places, length in ((rows, 36), (columns, 48)):
        cut = (length - length / zoom) / 2
        assert (places.min(), places.max()) == (int(cut), length - 1 - int(cut))


def test_without_a_list_of_zooms_views_are_what_they_were() -> None:
    """The next number is drawn from the same place of the stream."""
    given = pixels()
    found = Augmentation((0.7, 0.7))(given, (32, 32), 1.0, RNG(3))
    drawn = RNG(3)
    drawn.uniform()
    angle, mirror = drawn.uniform(-10, 10), -1.0 if drawn.random() < 0.5 else 1.0
    warp = view((40, 56), (32, 32), 0.7, np.radians(angle), mirror, drawn.random(2))
    assert np.array_equal(found.semantic, warped(given.semantic, warp, (32, 32), cv2.INTER_NEAREST, (255,)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zooms": []}, r"expected one or more zooms above 0, found \[\]"),
        ({"zooms": [1.0, 0.0]}, r"found \[1.0, 0.0\]"),
        ({"zooms": [1.0], "scale": (0.5, 1.0)}, r"scale or zooms, found both \(\(0.5, 1.0\) and \[1.0\]\)"),
        ({"centered": True, "class_crops": 0.5}, "expected centered crops, or class_crops and cat_max_ratio"),
        ({"centered": True, "cat_max_ratio": 0.75}, "found both"),
    ],
)
def test_impossible_zooms_and_positions_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**arguments)


def test_zooms_are_a_function_of_seed_epoch_and_index() -> None:
    def samples(seed: int) -> TrainSamples:
        augmentation = Augmentation(zooms=[1.0, 1.2, 1.5], rotation=0.0, depth_by_zoom=True)
        scenes = SyntheticScenes("train", length=3, size=(48, 64), depth=True)
        return TrainSamples(scenes, augmentation, (32, 32), seed=seed)

    first, second, other = samples(2), samples(2), samples(3)
    keys = [(epoch, index) for epoch in range(4) for index in range(3)]
    assert all(np.array_equal(first[key]["depth"], second[key]["depth"]) for key in reversed(keys))
    assert any(not np.array_equal(first[key]["depth"], other[key]["depth"]) for key in keys)
