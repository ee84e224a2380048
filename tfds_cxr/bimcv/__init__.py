"""BIMCV-COVID19+: its table and its builder."""
