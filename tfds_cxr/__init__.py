"""TFDS builder of the COVID-19 Radiography Database: `tfds build tfds_cxr`."""
