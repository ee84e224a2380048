"""Writes docs/reference/collections.md from the tables of the collections.

python -m tools.make_collections_page
"""

from pathlib import Path

from tfds_cxr.collections import NAMES, finding
from tfds_cxr.collections.table import Collection

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "collections.md"
HEAD = """# Collections beside the database

Those the database was compiled from, and others that can judge what was trained on it. [How to build
them](../how-to/collections.md); [how shared films are found](../explanation/contamination.md). Nothing of them comes
with this package: ask their owners. Written by `python -m tools.make_collections_page`.

A film with labels of several classes counts as the first of COVID, Viral Pneumonia, Lung_Opacity, `abnormal, none of
these`, `unlabelled`, Normal. What is said of an adapter tells what was seen of the real files: one made from
documents alone may meet a copy that it does not understand, and then says what it expected.
"""


def section(facts: Collection) -> str:
    """What the page says of a collection."""
    counted = ", ".join(f"{own}: {label}" for own, label in facts.classes.items())
    return f"""
## {facts.title}

`tfds build tfds_cxr/{facts.name} --manual_dir DIR`

- **Where to ask for it**: <{facts.homepage}>
- **Terms**: {facts.licence}
- **Size**: {facts.size}
- **Labels**: {facts.labelled_by}
- **Counted as**: {counted}; anything else: {facts.otherwise}
- **Known to be wrong**: {facts.known_wrong}
- **A copy holds**: `{facts.layout}`
- **What the adapter was made from**: {facts.seen}
- **To cite**: {facts.citation}
"""


def main() -> None:
    """Writes the page."""
    sections = [section(finding.builder_class(name).COLLECTION) for name in NAMES]
    PAGE.write_text(HEAD + "".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
