"""RSNA Pneumonia Detection Challenge: its table and its builder."""
