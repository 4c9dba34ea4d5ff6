"""Files: atomic writes, label images, state dicts."""
