"""The files of panoptic segmentations as data sets lay them out, one file per layout."""
