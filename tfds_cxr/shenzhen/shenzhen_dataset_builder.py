"""TFDS builder of Shenzhen Hospital chest films."""

from tfds_cxr.collections import layout, tuberculosis
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import OTHER_ABNORMAL, Collection


class Builder(CollectionBuilder):
    """Its films, from `CXR_png` and `ClinicalReadings`."""

    name = "cxr_shenzhen"
    COLLECTION = Collection(
        name="shenzhen",
        title="Shenzhen Hospital chest films",
        homepage="https://data.lhncbc.nlm.nih.gov/public/Tuberculosis-Chest-X-ray-Datasets/",
        licence="public, with a citation",
        size="662 films: 326 normal, 336 with tuberculosis, a few of children",
        labelled_by="Radiologists and the clinic: normal, or signs of tuberculosis. The last digit of a name says "
        "which.",
        known_wrong="Tuberculosis is no class of the database: abnormal, none of these. Ages in months and days "
        "among those in years.",
        seen="Names and readings from others' code; no file.",
        citation="Jaeger et al., Quant. Imaging Med. Surg. 4(6), 2014, doi:10.3978/j.issn.2223-4292.2014.11.20",
        classes={"normal": "Normal", "tuberculosis": OTHER_ABNORMAL},
        layout="the folders CXR_png (CHNCXR_*_0.png, _1.png) and ClinicalReadings",
        is_root=layout.holds("CXR_png"),
        films=tuberculosis.films("shenzhen", "CHNCXR"),
    )
