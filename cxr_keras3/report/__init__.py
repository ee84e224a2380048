"""Pages about a run: the HTML report, the model card, and what the demo shows of them."""
