"""Classification metrics with intervals from a bootstrap over groups."""
