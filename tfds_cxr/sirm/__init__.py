"""SIRM COVID-19 database: its table and its builder."""
