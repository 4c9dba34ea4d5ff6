"""Which settings say where data and a teacher are."""

PLACES = r"data\.(.+\.)?(root|table|images|photos)$|model\.teacher\.run$"
"""A pattern of their keys; what they name may move between two parts of a run."""
