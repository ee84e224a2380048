"""Collections beside the database: those it was compiled from, and those that can judge what was trained on it.

Each is a folder of its own in `tfds_cxr`, such as `tfds_cxr/rsna`, with one table of facts; what they share is here.
"""

NAMES = (
    "actualmed",
    "bimcv",
    "chexpert",
    "covid_cxnet",
    "covidgr",
    "eurorad",
    "figshare_covid",
    "hannover",
    "ieee8023",
    "kermany",
    "montgomery",
    "nih",
    "openi",
    "padchest",
    "ricord_1c",
    "rsna",
    "shenzhen",
    "sirm",
    "vindr",
)
"""What can be built by `tfds build tfds_cxr/NAME`."""
