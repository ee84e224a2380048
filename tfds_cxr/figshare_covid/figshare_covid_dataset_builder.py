"""TFDS builder of COVID-19 Chest X-Ray Image Repository (figshare 12580328)."""

from tfds_cxr.collections import layout, saved
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import Collection


class Builder(CollectionBuilder):
    """Films saved by hand, a folder a case."""

    name = "cxr_figshare_covid"
    COLLECTION = Collection(
        name="figshare_covid",
        title="COVID-19 Chest X-Ray Image Repository (figshare 12580328)",
        homepage="https://doi.org/10.6084/m9.figshare.12580328",
        licence="CC BY 4.0",
        size="900 films in one zip",
        labelled_by="As in COVID-CXNet, whose authors published it: mostly a positive PCR.",
        known_wrong="The films of COVID-CXNet, by the same authors: use one of the two. How the zip names its files "
        "was not seen: any folder of images is read, and a folder is taken for a patient.",
        seen="No file of its own; licence, number and form from the page of COVID-CXNet.",
        citation="Haghanifar et al., figshare, 2020, doi:10.6084/m9.figshare.12580328",
        classes={"COVID-19": "COVID"},
        layout=saved.LAYOUT,
        is_root=layout.holds_images,
        films=saved.films("figshare_covid"),
    )
