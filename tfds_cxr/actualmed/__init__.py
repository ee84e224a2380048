"""Actualmed COVID-19 films: its table and its builder."""
