"""Specifications of charts in Vega-Lite, as plain data; the page adds the colors of text and background."""
