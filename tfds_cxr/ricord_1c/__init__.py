"""MIDRC-RICORD-1c: its table and its builder."""
