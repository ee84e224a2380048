"""Metrics with intervals from a bootstrap over groups."""
