"""Configurations: recipes of parts, their validation and what is said about mistakes in them."""
