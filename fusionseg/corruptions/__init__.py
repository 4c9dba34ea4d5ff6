"""Corruptions of images: functions of the image (H, W, C), a severity in 1..5 and a seed.

Severities are those of ImageNet-C (Hendrycks & Dietterich, ICLR 2019, arXiv:1903.12261) where it has the
corruption: brightness, contrast, blur, defocus, motion, Gaussian and shot noise, JPEG, downsampling, fog.
Gamma, color temperature, occlusion, rotation and perspective are further ones. Lengths in pixels are given
for images whose shorter side has 224 pixels, and grow in proportion to it; noise, JPEG and downsampling are
of pixels and do not.
"""

from fusionseg.corruptions.base import SEVERITIES, Corruption, LabelChange
from fusionseg.corruptions.blur import defocus_blur, gaussian_blur, motion_blur
from fusionseg.corruptions.compression import downsampling, jpeg
from fusionseg.corruptions.geometric import perspective, rotated, rotation, tilted
from fusionseg.corruptions.noise import gaussian_noise, shot_noise
from fusionseg.corruptions.occlusion import hidden, occlusion
from fusionseg.corruptions.photometric import brightness, color_temperature, contrast, gamma
from fusionseg.corruptions.weather import fog

CORRUPTIONS = (
    Corruption("photometric", brightness),
    Corruption("photometric", contrast),
    Corruption("photometric", gamma),
    Corruption("photometric", color_temperature, rgb=True),
    Corruption("blur", gaussian_blur),
    Corruption("blur", defocus_blur),
    Corruption("blur", motion_blur),
    Corruption("noise", gaussian_noise),
    Corruption("noise", shot_noise),
    Corruption("compression", jpeg),
    Corruption("compression", downsampling),
    Corruption("weather", fog),
    Corruption("occlusion", occlusion, hidden),
    Corruption("geometric", rotation, rotated),
    Corruption("geometric", perspective, tilted),
)
"""All corruptions, by family."""

__all__ = [
    "CORRUPTIONS",
    "SEVERITIES",
    "Corruption",
    "LabelChange",
    "brightness",
    "color_temperature",
    "contrast",
    "defocus_blur",
    "downsampling",
    "fog",
    "gamma",
    "gaussian_blur",
    "gaussian_noise",
    "jpeg",
    "motion_blur",
    "occlusion",
    "perspective",
    "rotation",
    "shot_noise",
]
