"""VinDr-CXR: its table and its builder."""
