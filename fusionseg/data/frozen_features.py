"""Features of a frozen encoder that are computed once: of which views, and where they are kept."""

from dataclasses import dataclass, field

from torch import Tensor

from fusionseg.data.feature_file import FeatureFile


@dataclass(frozen=True)
class FrozenFeatures:
    """Keeps the features of a frozen encoder in `data.cache_dir`, in place of computing them in every step.

    A training image has a few views only, of which each epoch shows the next one: they are a function of
    `seed`, the epoch modulo `variants`, and the image.

    Args:
        variants: Views of each training image.
        seed: What the views depend on, in place of `data.seed`, so that runs of all seeds share them.
        cached: False computes the features of every batch anew, image by image and rounded alike: to the last
            bit the same training, in more time.

    Raises:
        ValueError: A number is out of its range.
    """

    variants: int = 4
    seed: int = 0
    cached: bool = True

    def __post_init__(self) -> None:
        if self.variants < 1:
            raise ValueError(f"data.features: expected variants of 1 or more, found {self.variants}")
        if self.seed < 0:
            raise ValueError(f"data.features: expected a seed of 0 or more, found {self.seed}")


@dataclass
class Features:
    """The features of a split's images, for the samples of a loader; empty until they were computed.

    Attributes:
        files: The file of each variant of the images; of whole images there is one.
    """

    files: list[FeatureFile] = field(default_factory=list)

    def of(self, index: int, variant: int = 0) -> dict[str, Tensor]:
        """The `features` of an image's sample (N,), where there are some."""
        return {"features": self.files[variant].read(index)} if self.files else {}


def variant(epoch: int, occurrence: int, variants: int) -> int:
    """Which of its views an image has; if it comes several times in an epoch, the next ones.

    >>> [variant(5, occurrence, 4) for occurrence in (0, 1, 2, 3)]
    [1, 2, 3, 0]
    """
    return (epoch + occurrence) % variants
