"""The two collections of the National Library of Medicine, alike but for names."""

import re
from collections.abc import Callable, Iterator

from tfds_cxr.collections import layout
from tfds_cxr.collections.table import Film
from tfds_cxr.database import AnyPath

_YEARS = re.compile(r"(\d+)\s*(?:Y|yrs?|years?)\b", re.IGNORECASE)
_SEX = re.compile(r"\b(female|male)\b|Sex:\s*([FM])", re.IGNORECASE)


def films(collection: str, prefix: str) -> Callable[[AnyPath], Iterator[Film]]:
    """Lists the pictures in CXR_png; each is of a patient of its own.

    Args:
        collection: Its name.
        prefix: What the files' names begin with.
    """
    pattern = re.compile(rf"{prefix}_(\d+)_([01])\.png")

    def listed(root: AnyPath) -> Iterator[Film]:
        files = layout.files_below(root)
        readings = layout.by_name(files)
        for name, path in layout.by_name(layout.images_below(root)).items():
            match = pattern.fullmatch(name)
            if match is None:
                continue
            reading = readings.get(name.replace(".png", ".txt"))
            said = layout.text(reading) if reading else ""
            years, sex = _YEARS.search(said), _SEX.search(said)
            yield Film(
                name=name,
                path=path,
                own_labels=("tuberculosis" if match[2] == "1" else "normal",),
                patient=f"{collection}:{match[1]}",
                age=float(years[1]) if years else None,
                sex=layout.sex(sex[1] or sex[2]) if sex else "",
                view="PA",
            )

    return listed
