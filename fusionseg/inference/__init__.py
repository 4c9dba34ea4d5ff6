"""A trained model as a function of images, and its answers as files."""
