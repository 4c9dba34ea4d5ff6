"""Base class of the datasets that read a photo and label files for each image."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from typing_extensions import override

from fusionseg.data.base import Labels, Pixels, SegmentationDataset
from fusionseg.data.layout import check_size
from fusionseg.files.photos import read_image
from fusionseg.files.readable_path import ReadablePath


class FileDataset(SegmentationDataset):
    """One split of a dataset whose photos and label maps lie in files, on disk or in an archive.

    A subclass finds the files in its constructor, and reads the label maps in `labels`.

    Attributes:
        names: The names of the images, in order.
        photos: The photo of each name, and maybe of further ones.
        label_files: The file, of each name, whose label map says what size an image's labels have.
    """

    names: Sequence[str]
    photos: Mapping[str, ReadablePath]
    label_files: Mapping[str, ReadablePath]

    @override
    def __len__(self) -> int:
        return len(self.names)

    @override
    def name(self, index: int) -> str:
        return self.names[index]

    @override
    def photo(self, index: int) -> ReadablePath:
        return self.photos[self.names[index]]

    def label_file(self, index: int) -> ReadablePath:
        """The label file that errors about the size of an image's labels name."""
        return self.label_files[self.names[index]]

    @override
    @abstractmethod
    def labels(self, index: int) -> Labels:
        """The label maps of an image, read without its photo."""

    @override
    def read(self, index: int) -> Pixels:
        photo = self.photo(index)
        labels = self.labels(index)
        image = read_image(photo, self.value_range, self.channels)
        check_size(labels.semantic, image, self.label_file(index), photo)
        return Pixels(image, *labels)
