"""Calibration of an evaluation's probabilities: figures, tables and diagrams."""
