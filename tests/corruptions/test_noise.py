import numpy as np
import pytest

from fusionseg.corruptions.noise import GAUSSIAN, PHOTONS, gaussian_noise, shot_noise


@pytest.mark.parametrize("severity", range(1, 6))
def test_gaussian_noise_has_its_standard_deviation(severity: int) -> None:
    gray = np.full((200, 200, 3), 0.5, np.float32)
    noise = gaussian_noise(gray, severity, 0) - gray
    sigma = GAUSSIAN[severity - 1]
    assert noise.mean() == pytest.approx(0, abs=0.005)
    # of a normal distribution 68.27 percent lie within one standard deviation, whatever is clipped beyond
    assert (np.abs(noise) < min(sigma, 0.49)).mean() == pytest.approx(0.6827, abs=0.01)
    channels = noise.reshape(-1, 3)
    assert np.abs(np.corrcoef(channels.T) - np.eye(3)).max() < 0.02


@pytest.mark.parametrize("severity", range(1, 6))
def test_shot_noise_counts_photons(severity: int) -> None:
    photons = PHOTONS[severity - 1]
    gray = np.full((200, 200, 3), 0.1, np.float32)
    counts = shot_noise(gray, severity, 0) * photons
    assert np.abs(counts - np.rint(counts)).max() < 1e-4
    assert counts.mean() == pytest.approx(0.1 * photons, rel=0.02)
    assert counts.var() == pytest.approx(0.1 * photons, rel=0.04)
    assert not shot_noise(np.zeros_like(gray), severity, 0).any()
