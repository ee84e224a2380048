"""Lungs on every film: a small network that outlines them, how it is trained, and how well it does."""
