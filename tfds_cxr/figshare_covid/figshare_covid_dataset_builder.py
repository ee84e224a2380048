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
        size="some 900 films",
        labelled_by="As in COVID-CXNet, whose authors published it: mostly a positive PCR.",
        known_wrong="By the authors of COVID-CXNet, with much the same films: use one of the two. How the archive "
        "names its files was not seen: any folder of images is read, without patients but by folder.",
        seen="No file of its own; the licence from its page as others quote it.",
        citation="Haghanifar et al., figshare, 2020, doi:10.6084/m9.figshare.12580328",
        classes={"COVID-19": "COVID"},
        layout=saved.LAYOUT,
        is_root=layout.holds_images,
        films=saved.films("figshare_covid"),
    )
