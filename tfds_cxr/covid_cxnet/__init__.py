"""COVID-CXNet: its table and its builder."""
