"""A page on which a trained model answers images, whose decoding can be changed."""
