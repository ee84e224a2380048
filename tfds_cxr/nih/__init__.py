"""NIH ChestX-ray14: its table and its builder."""
