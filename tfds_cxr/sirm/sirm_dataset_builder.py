"""TFDS builder of SIRM COVID-19 database."""

from tfds_cxr.collections import layout, saved
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import Collection


class Builder(CollectionBuilder):
    """Films saved by hand, a folder a case."""

    name = "cxr_sirm"
    COLLECTION = Collection(
        name="sirm",
        title="SIRM COVID-19 database",
        homepage="https://sirm.org/category/senza-categoria/covid-19/",
        licence="of SIRM and the authors of the cases; ask them",
        size="some 100 cases, films and CT",
        labelled_by="What the case says of the patient, mostly a positive PCR.",
        known_wrong="There is no archive to download: the films are saved from the pages, and the database's names "
        "do not say which. CT slices stand beside the films: save the films only. The database claims "
        "559 films of SIRM, Eurorad, ieee8023, figshare and Twitter together; which are which, it does "
        "not say.",
        seen="No file of its own; the pages from documents.",
        citation="Italian Society of Medical and Interventional Radiology, 2020",
        classes={"COVID-19": "COVID"},
        layout=saved.LAYOUT,
        is_root=layout.holds_images,
        films=saved.films("sirm"),
    )
