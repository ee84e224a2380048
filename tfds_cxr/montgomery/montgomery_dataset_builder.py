"""TFDS builder of Montgomery County chest films."""

from tfds_cxr.collections import layout, tuberculosis
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import OTHER_ABNORMAL, Collection


class Builder(CollectionBuilder):
    """Its films, from `CXR_png` and `ClinicalReadings`."""

    name = "cxr_montgomery"
    COLLECTION = Collection(
        name="montgomery",
        title="Montgomery County chest films",
        homepage="https://data.lhncbc.nlm.nih.gov/public/Tuberculosis-Chest-X-ray-Datasets/",
        licence="public, with a citation",
        size="138 films: 80 normal, 58 with tuberculosis",
        labelled_by="Radiologists and the clinic: normal, or signs of tuberculosis. The last digit of a name says "
        "which.",
        known_wrong="Tuberculosis is no class of the database: abnormal, none of these. Large black borders on a "
        "part of the films.",
        seen="Names and readings from others' code; no file.",
        citation="Jaeger et al., Quant. Imaging Med. Surg. 4(6), 2014, doi:10.3978/j.issn.2223-4292.2014.11.20",
        classes={"normal": "Normal", "tuberculosis": OTHER_ABNORMAL},
        layout="the folders CXR_png (MCUCXR_*_0.png, _1.png) and ClinicalReadings",
        is_root=layout.holds("CXR_png"),
        films=tuberculosis.films("montgomery", "MCUCXR"),
    )
