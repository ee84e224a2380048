"""CheXpert: its table and its builder."""
