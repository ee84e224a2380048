"""TFDS builder of Eurorad cases of COVID-19."""

from tfds_cxr.collections import layout, saved
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import Collection


class Builder(CollectionBuilder):
    """Films saved by hand, a folder a case."""

    name = "cxr_eurorad"
    COLLECTION = Collection(
        name="eurorad",
        title="Eurorad cases of COVID-19",
        homepage="https://www.eurorad.org",
        licence="CC BY-NC-SA 4.0, as the pages say",
        size="some dozens of cases",
        labelled_by="The final diagnosis of the case, reviewed by an editor.",
        known_wrong="There is no archive to download: the films are saved from the pages of the cases. Teaching "
        "cases: selected for what they show.",
        seen="No file of its own; the pages from documents.",
        citation="European Society of Radiology, eurorad.org",
        classes={"COVID-19": "COVID"},
        layout=saved.LAYOUT,
        is_root=layout.holds_images,
        films=saved.films("eurorad"),
    )
