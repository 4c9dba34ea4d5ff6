"""Robustness: what corruptions of the validation images do to a run."""
