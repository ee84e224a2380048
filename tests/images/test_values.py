"""The values that a film's greys were made of, and the window that was laid over them."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from cxr_keras3 import images
from tests.image_files import dicom, dicom_dataset, encoded, picture

WINDOW = {"WindowCenter": 2048, "WindowWidth": 3000}


def greys(film: images.Film) -> np.ndarray:
    """What a viewer makes of a film's values, by DICOM PS3.3 C.11.2.1.2.1."""
    assert film.window is not None
    assert film.values is not None
    level, width = film.window.level, film.window.width
    shown = np.clip((film.values - (level - 0.5)) / (width - 1) + 0.5, 0, 1) * 255
    return 255 - shown if film.window.is_inverted else shown


def table(entries: list[int], *, depth: int, **attributes: Any) -> list[Dataset]:
    item = Dataset()
    item.LUTDescriptor = [len(entries), 0, depth]
    item.LUTData = np.array(entries, np.uint16).tobytes()
    for name, value in attributes.items():
        setattr(item, name, value)
    return [item]


@pytest.mark.parametrize(
    "attributes",
    [
        WINDOW,
        WINDOW | {"PhotometricInterpretation": "MONOCHROME1"},
        WINDOW | {"RescaleSlope": "2", "RescaleIntercept": "-1000"},
        WINDOW | {"RescaleSlope": "-1", "RescaleIntercept": "4095"},
        WINDOW | {"VOILUTFunction": "SIGMOID"},
        WINDOW | {"PatientOrientation": ["F", "L"]},
        WINDOW | {"VOILUTFunction": "LINEAR_EXACT"},
        {},
    ],
)
def test_the_window_over_the_values_gives_the_greys(attributes: dict[str, Any]) -> None:
    data = dicom(picture(levels=4096), bits=12, **attributes)
    film = images.decode(data, with_values=True)
    assert np.abs(greys(film) - film.pixels).max() <= 1
    assert film.window == images.decode(data).window
    assert images.decode(data).values is None
    assert (film.window.lowest, film.window.highest) == (film.values.min(), film.values.max())


def test_a_dicom_window_is_told_in_stored_units() -> None:
    stored = picture(levels=4096)
    film = images.decode(dicom(stored, bits=12, **WINDOW), with_values=True)
    assert (film.window.level, film.window.width) == (2048, 3000)
    np.testing.assert_array_equal(film.values, stored)
    rescaled = images.decode(dicom(stored, bits=12, **WINDOW, RescaleSlope="2", RescaleIntercept="0"), with_values=True)
    np.testing.assert_array_equal(rescaled.values, stored)
    assert rescaled.window.level == pytest.approx(1024, abs=1)


def test_what_a_lookup_table_makes_of_values_is_windowed() -> None:
    stored = picture(levels=4096)
    dataset = dicom_dataset(stored, bits=12)
    squares = (np.arange(4096) ** 2 // 4095).tolist()
    dataset.VOILUTSequence = table(squares, depth=12)
    from tests.image_files import dicom_bytes

    film = images.decode(dicom_bytes(dataset), with_values=True)
    np.testing.assert_array_equal(film.values, np.array(squares)[stored])
    assert np.abs(greys(film) - film.pixels).max() <= 1


def test_wide_pictures_have_values_and_narrow_ones_have_none() -> None:
    stored = picture(levels=4096)
    film = images.decode(encoded(stored, "PNG"), with_values=True)
    np.testing.assert_array_equal(film.values, stored)
    assert np.abs(greys(film) - film.pixels).max() <= 1
    turned = io.BytesIO()
    Image.fromarray(stored).save(turned, "TIFF", tiffinfo={262: 0})  # WhiteIsZero
    film = images.decode(turned.getvalue(), with_values=True)
    assert film.window.is_inverted
    assert np.abs(greys(film) - film.pixels).max() <= 1
    for narrow in (picture(), picture().astype(np.uint16) * 257):
        film = images.decode(encoded(narrow, "PNG"), with_values=True)
        assert (film.window, film.values) == (None, None)
