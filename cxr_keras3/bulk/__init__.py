"""Scoring of more films than one process gets through, on Ray Data. Not a medical device: for research only."""
