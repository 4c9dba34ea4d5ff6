"""Datasets, their augmentation and their combinations: all parts of the data that a configuration can name.

A dataset is a subclass of `SegmentationDataset`, one split of some images with their labels, or of
`FileDataset`, where each image is a photo with label files. `CamVid`, `CamVid32`, `Cityscapes`,
`CocoPanoptic`, `PascalVOC`, `ADE20K`, `PascalContext`, `NYUv2`, `StanfordBackground`, `BSDS500` and
`DSB2018` read the official layouts of these data sets, `NYUv2Copy` and `LibMTLArrays` read copies that
papers use, `Folder` reads images of your own, `ClassFolders` and `ClassTable` those with labels of whole
images, and `SyntheticScenes` draws scenes without any files.
`MixtureDataset` mixes several datasets, `RGBD` makes depth a channel of the images of one, and `Subset`
selects images of one. `Augmentation` makes the random views to train on, and `RandomCorruption`,
`RandomErasing`, `CopyPaste` and `TorchvisionTransform` are what it may do besides. `BalancedSampling` and
`RepeatFactorSampling` show images with rare classes more often. `FrozenFeatures` says how the features of a
frozen encoder are kept.

`fusionseg.SegmentationDataModule` and `fusionseg.ClassificationDataModule` make batches of any of them. They
are not here because they import Lightning, which nothing in this package needs.

Examples:
    >>> from fusionseg.data import SyntheticScenes
    >>> scenes = SyntheticScenes("val", depth=True)
    >>> pixels = scenes.read(0)
    >>> pixels.image.shape, pixels.semantic.shape, pixels.maps["depth"].shape
    ((128, 128, 3), (128, 128), (128, 128))
"""

from fusionseg.data.ade20k import ADE20K
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.balanced_sampling import BalancedSampling
from fusionseg.data.base import SegmentationDataset
from fusionseg.data.bsds500 import BSDS500
from fusionseg.data.camvid import CamVid
from fusionseg.data.camvid32 import CamVid32
from fusionseg.data.cityscapes import Cityscapes
from fusionseg.data.class_folders import ClassFolders
from fusionseg.data.class_table import ClassTable
from fusionseg.data.coco_panoptic import CocoPanoptic
from fusionseg.data.copy_paste import CopyPaste
from fusionseg.data.dsb2018 import DSB2018
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.folder import Folder
from fusionseg.data.frozen_features import FrozenFeatures
from fusionseg.data.image_classes import ImageClasses
from fusionseg.data.libmtl_arrays import LibMTLArrays
from fusionseg.data.mixture import MixtureDataset
from fusionseg.data.nyuv2 import NYUv2
from fusionseg.data.nyuv2_copy import NYUv2Copy
from fusionseg.data.pascal_context import PascalContext
from fusionseg.data.pascal_voc import PascalVOC
from fusionseg.data.random_corruption import RandomCorruption
from fusionseg.data.random_erasing import RandomErasing
from fusionseg.data.repeat_factor_sampling import RepeatFactorSampling
from fusionseg.data.rgbd import RGBD
from fusionseg.data.sampling import Sampling
from fusionseg.data.stanford_background import StanfordBackground
from fusionseg.data.subset import Subset
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.data.torchvision_transform import TorchvisionTransform
from fusionseg.data.unlabelled_mixture import Unlabelled, UnlabelledMixture
from fusionseg.data.view_changes import ViewChange

__all__ = [
    "ADE20K",
    "BSDS500",
    "DSB2018",
    "RGBD",
    "Augmentation",
    "BalancedSampling",
    "CamVid",
    "CamVid32",
    "Cityscapes",
    "ClassFolders",
    "ClassTable",
    "CocoPanoptic",
    "CopyPaste",
    "FileDataset",
    "Folder",
    "FrozenFeatures",
    "ImageClasses",
    "LibMTLArrays",
    "MixtureDataset",
    "NYUv2",
    "NYUv2Copy",
    "PascalContext",
    "PascalVOC",
    "RandomCorruption",
    "RandomErasing",
    "RepeatFactorSampling",
    "Sampling",
    "SegmentationDataset",
    "StanfordBackground",
    "Subset",
    "SyntheticScenes",
    "TorchvisionTransform",
    "Unlabelled",
    "UnlabelledMixture",
    "ViewChange",
]
