"""Corruptions of images: functions of the image (H, W, C), a severity in 1..5 and a seed.

Severities are those of ImageNet-C (Hendrycks & Dietterich, ICLR 2019, arXiv:1903.12261) where it has the
corruption: brightness, contrast, blur, defocus, motion, Gaussian and shot noise, JPEG, downsampling, fog.
Gamma, color temperature, occlusion, rotation and perspective are further ones. Lengths in pixels are given
for images whose shorter side has 224 pixels, and grow in proportion to it; noise, JPEG and downsampling are
of pixels and do not.
"""

from fusionseg.corruptions.base import SEVERITIES, Corruption, LabelChange
from fusionseg.corruptions.blur import defocus_blur, gaussian_blur, motion_blur
from fusionseg.corruptions.catalogue import CORRUPTIONS, named
from fusionseg.corruptions.compression import downsampling, jpeg
from fusionseg.corruptions.geometric import perspective, rotation
from fusionseg.corruptions.noise import gaussian_noise, shot_noise
from fusionseg.corruptions.occlusion import occlusion
from fusionseg.corruptions.photometric import brightness, color_temperature, contrast, gamma
from fusionseg.corruptions.weather import fog

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
    "named",
    "occlusion",
    "perspective",
    "rotation",
    "shot_noise",
]
