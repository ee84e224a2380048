"""Eurorad cases of COVID-19: its table and its builder."""
