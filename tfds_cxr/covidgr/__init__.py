"""COVIDGR-1.0: its table and its builder."""
