"""Bulk scoring on Ray Data into Parquet tables."""
