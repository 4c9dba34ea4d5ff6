"""Searches: trials that Optuna draws from a space of settings, run as the variants of a study."""
