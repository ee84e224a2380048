"""TFDS builder of COVIDGR-1.0."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from tfds_cxr.collections import layout
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import Collection, Film
from tfds_cxr.database import AnyPath


def _films(root: AnyPath) -> Iterator[Film]:
    for name, path in layout.images_below(root).items():
        folder = PurePosixPath(name).parts[0]
        if folder in ("P", "N"):
            yield Film(name=name, path=path, own_labels=(folder,), view="PA")


class Builder(CollectionBuilder):
    """COVIDGR's films, from its folders P and N."""

    name = "cxr_covidgr"
    COLLECTION = Collection(
        name="covidgr",
        title="COVIDGR-1.0",
        homepage="https://github.com/ari-dasci/OD-covidgr",
        licence="free for research, with a citation; see its page",
        size="852 films: 426 with a positive PCR within a day, 426 without the disease",
        labelled_by="PCR for P, radiologists for N, who looked for films without a finding.",
        known_wrong="76 of the P films look normal: the label is the test's, not the film's (severity.csv names "
        "them). Both classes are from one hospital and one kind of machine, which makes it the fairest "
        "test of COVID there is. No patient, age and sex of single films.",
        seen="Folder names and counts from others' code and its page; no image.",
        citation="Tabik et al., IEEE J. Biomed. Health Inform. 24(12), 2020, arXiv:2006.01409",
        classes={"P": "COVID", "N": "Normal"},
        layout="the folders P and N",
        is_root=layout.holds("p", "n"),
        films=_films,
    )
