"""Studies: many runs from one file, their results and their statistics."""
