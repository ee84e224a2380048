"""Pages about a run: HTML report, model card, and the words and curves that the demo shows too."""
