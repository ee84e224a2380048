"""The four classes of the COVID-19 Radiography Database, in the one order used everywhere."""

LABELS = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
"""Class names as the database spells its folders; a label's index in this tuple is its number."""

PUBLISHED_COUNTS = {"COVID": 3616, "Lung_Opacity": 6012, "Normal": 10192, "Viral Pneumonia": 1345}
"""Images of each class in the published database, 21,165 in all (its own README)."""
