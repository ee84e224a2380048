"""Training: from a built dataset to a run folder that can serve."""
