"""Chest X-Ray Images (Pneumonia) of Kermany et al: its table and its builder."""
