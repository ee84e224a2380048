"""Collections without an archive: films saved from web pages by hand, in a folder, or a folder a case."""

from collections.abc import Callable, Iterator

from tfds_cxr.collections import layout
from tfds_cxr.collections.table import Film
from tfds_cxr.database import AnyPath

LAYOUT = "images of films, in one folder or better in a folder for each case, which is then taken for a patient"


def films(collection: str) -> Callable[[AnyPath], Iterator[Film]]:
    """Lists all images of a folder; each folder in it is a patient, and all have COVID-19."""

    def listed(root: AnyPath) -> Iterator[Film]:
        for name, path in layout.images_below(root).items():
            case = layout.folder_of(name)
            yield Film(name=name, path=path, own_labels=("COVID-19",), patient=f"{collection}:{case}" if case else "")

    return listed
