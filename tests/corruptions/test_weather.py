import numpy as np
import pytest

from fusionseg.corruptions.weather import FOG, fog, fractal


@pytest.mark.parametrize("severity", range(1, 6))
def test_fog_is_the_formula_of_imagenet_c_pixel_by_pixel(severity: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((12, 17, 3), np.float32) * np.float32(0.8)
    thickness, decay = FOG[severity - 1]
    swathes = fractal((12, 17), decay, np.random.default_rng(5))
    found = fog(image, severity, 5)
    largest = max(image.ravel().tolist())
    for y in range(12):
        for x in range(17):
            for c in range(3):
                value = (image[y, x, c] + thickness * swathes[y, x]) * largest / (largest + thickness)
                assert found[y, x, c] == pytest.approx(min(max(value, 0), 1), abs=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (40, 100), (100, 40), (1, 33)])
def test_swathes_go_from_0_to_1(size: tuple[int, int]) -> None:
    swathes = fractal(size, 1.7, np.random.default_rng(0))
    assert swathes.shape == size
    assert (swathes.min(), swathes.max()) == pytest.approx((0, 1), abs=1e-6)


def test_noise_gets_less_from_one_lattice_to_the_next_as_the_decay_says() -> None:
    """Differences over half the distance shrink by nearly decay squared, as far as lattices do not blend."""
    for decay, smoother in ((1.4, 2.0), (2.0, 1.4)):
        rough = [_roughness(fractal((256, 256), decay, np.random.default_rng(seed))) for seed in range(5)]
        other = [_roughness(fractal((256, 256), smoother, np.random.default_rng(seed))) for seed in range(5)]
        assert (np.mean(rough) > np.mean(other)) == (decay < smoother)
    ratios = [_roughness(fractal((256, 256), 1.4, np.random.default_rng(seed))) for seed in range(20)]
    assert np.mean(ratios) == pytest.approx(1 / 1.4**2, rel=0.15)


def _roughness(swathes: np.ndarray) -> float:
    """How much less values differ over 4 pixels than over 8."""
    near, far = (np.abs(swathes[:, d:] - swathes[:, :-d]).mean() for d in (4, 8))
    return float(near / far)
