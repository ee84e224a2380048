"""Shenzhen Hospital chest films: its table and its builder."""
