"""Tuning of decoders: better parameters for the heads of a trained run, without its network."""
