"""The dataset: TFDS builder, provenance, groups and split, phantoms."""
