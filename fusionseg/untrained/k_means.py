"""Regions of pixels that are alike in color and texture."""

import warnings

import numpy as np

from fusionseg.heads.region_decoding import filled, numbered
from fusionseg.sample import IntMap
from fusionseg.untrained.base import Method, Photo, skimage


class KMeans(Method):
    """Clusters pixels by color and texture; connected pixels of one cluster are a region.

    Color is CIELAB of the smoothed image. Texture is how strong the edges of the brightness are and the
    eigenvalues of its Hessian, each at scales of 1, 2 and 4 pixels and averaged nearby. Both are scaled to
    unit variance in all. Clusters are found among a fixed sample of pixels by k-means, which starts at
    k-means++ (Arthur and Vassilvitskii, SODA 2007) with a fixed seed.

    Args:
        clusters: Number of clusters.
        texture: Weight of texture against color.
        sigma: Standard deviation of the Gaussian that averages color and texture, in pixels.
        min_area: Regions of fewer pixels join the nearest one.

    Raises:
        ValueError: If there are fewer than 2 clusters, or another argument is negative.
    """

    def __init__(
        self, clusters: int = 6, texture: float = 0.5, sigma: float = 2.0, min_area: int = 200
    ) -> None:
        if clusters < 2:
            raise ValueError(f"expected at least 2 clusters, found {clusters}")
        if min(texture, sigma, min_area) < 0:
            raise ValueError(
                f"expected texture, sigma and min_area of 0 or more, found {texture}, {sigma} and {min_area}"
            )
        self.clusters = clusters
        self.texture = texture
        self.sigma = sigma
        self.min_area = min_area

    def regions(self, photo: Photo) -> IntMap:
        """The region ids, int32 (H, W) from 1."""
        from scipy.cluster.vq import kmeans2, vq  # which takes a while

        features = self._features(photo)
        sample = features[:: max(1, len(features) // 10000)]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="One of the clusters is empty")
            clusters = min(self.clusters, len(np.unique(sample, axis=0)))
            centers, _ = kmeans2(sample, clusters, minit="++", rng=np.random.default_rng(0))
        cluster, _ = vq(features, centers)
        labels = skimage("measure").label(cluster.reshape(photo.shape[:2]) + 1, connectivity=1)
        return filled(numbered(labels.astype(np.int32), self.min_area))

    def _features(self, photo: Photo) -> Photo:
        """Color and texture of each pixel, float32 (H * W, D)."""
        smoothed = skimage("filters").gaussian
        color = skimage("color").rgb2lab(photo)
        height, width = photo.shape[:2]
        # derivatives take at least two pixels
        light = np.pad(color[..., 0] / 100, ((0, height == 1), (0, width == 1)), mode="edge")
        texture = skimage("feature").multiscale_basic_features(
            light, intensity=False, sigma_min=1, sigma_max=4
        )[:height, :width]
        parts = []
        for part, weight in ((color, 1.0), (texture, self.texture)):
            averaged = smoothed(part, self.sigma, channel_axis=-1).reshape(-1, part.shape[-1])
            deviation = np.sqrt(averaged.var(0).sum())
            parts.append(weight * averaged / deviation if deviation else 0 * averaged)
        return np.concatenate(parts, 1).astype(np.float32)
