"""COVID-19 Image Data Collection: its table and its builder."""
