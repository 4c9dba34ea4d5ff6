import math
from collections import Counter
from functools import partial

import numpy as np
import pytest

from fusionseg.data.augmentation import Augmentation
from fusionseg.data.class_draw import ClassDraw
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes

PIXELS = np.array([700, 200, 60, 40])


def plain_chances(shown: list[int], temperature: float) -> list[float]:
    """Equation 10 of DAFormer in plain loops, over the classes of an image."""
    weights = [math.exp((1 - PIXELS[label] / 1000) / temperature) for label in shown]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("temperature", [0.01, 0.1, 10.0])
@pytest.mark.parametrize("shown", [[0], [0, 1], [0, 2, 3], [0, 1, 2, 3]])
def test_chances_are_those_of_rare_class_sampling(shown: list[int], temperature: float) -> None:
    draw = ClassDraw(temperature)
    draw.balance(PIXELS)
    assert draw.chances(np.array(shown)).tolist() == pytest.approx(plain_chances(shown, temperature))


def test_a_tiny_temperature_overflows_nowhere() -> None:
    draw = ClassDraw(1e-9)
    draw.balance(PIXELS)
    assert draw.chances(np.array([0, 3])).tolist() == [0, 1]


def test_pixels_are_drawn_evenly_from_a_class_by_its_chance() -> None:
    semantic = np.array([[0, 0, 0, 255], [0, 0, 2, 2]], np.uint8)
    draw = ClassDraw(1.0)
    draw.balance(PIXELS)
    places: Counter[tuple[float, float]] = Counter()
    for seed in range(6000):
        pixel = draw.pixel(semantic, np.random.default_rng(seed))
        assert pixel is not None
        places[pixel[0], pixel[1]] += 1
    common, rare = plain_chances([0, 2], 1.0)
    expected = {
        (x + 0.5, y + 0.5): (common / 5 if semantic[y, x] == 0 else rare / 2)
        for y, x in np.argwhere(semantic != 255).tolist()
    }
    assert places.keys() == expected.keys()
    for place, chance in expected.items():
        assert places[place] / 6000 == pytest.approx(chance, abs=0.03)


def test_frequencies_have_to_be_known() -> None:
    with pytest.raises(ValueError, match="how frequent classes are: call `balance` first"):
        ClassDraw(0.1).pixel(np.zeros((2, 2), np.uint8), np.random.default_rng(0))


def test_the_data_module_tells_the_frequencies_of_its_training_images() -> None:
    module = SegmentationDataModule(
        partial(SyntheticScenes, length=5, size=(64, 64)),
        batch_size=2,
        crop_size=(32, 32),
        workers=0,
        augmentation=partial(Augmentation, class_crops=0.5),
        fraction=0.9,
    )
    module.setup("fit")
    dataset = module.datasets["train"]
    counts = np.zeros(6, int)
    for index in range(len(dataset)):
        for label in dataset.read(index).semantic.ravel().tolist():
            counts[label] += 1
    shares = module.augmentation.class_draw.shares
    assert shares is not None
    assert shares.tolist() == pytest.approx((counts / counts.sum()).tolist())
    assert len(list(module.train_dataloader())) == len(dataset) // 2
