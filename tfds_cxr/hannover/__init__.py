"""COVID-19 Image Repository of Hannover: its table and its builder."""
