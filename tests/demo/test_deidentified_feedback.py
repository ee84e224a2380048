"""Readers' answers as a folder that may leave the hospital."""

import hashlib
from pathlib import Path

import numpy as np

from cxr_keras3 import images
from cxr_keras3.evaluation import external
from demo import answers, feedback
from tests.image_files import dicom_bytes, dicom_dataset, picture
from tfds_cxr.labels import LABELS


def test_it_holds_the_films_and_nothing_of_their_patients(tmp_path: Path) -> None:
    store, archive = answers.Store(tmp_path / "feedback", LABELS), tmp_path / "archive"
    archive.mkdir()
    plain, burnt = dicom_dataset(picture()), dicom_dataset(picture(), BurnedInAnnotation="YES")
    for name, dataset in (("Secret^Patient.dcm", plain), ("burnt.dcm", burnt)):
        data = dicom_bytes(dataset)
        (archive / name).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        store.add(sha256=digest, model="m", predicted="COVID", label="Normal", comment="Secret says no")
    assert feedback.export(store, tmp_path / "out", archive=archive, deidentify=True) == 1
    kept = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(kept) == 3
    assert not [path for path in kept if b"Secret" in path.read_bytes() or "Secret" in path.name]
    (labelled,) = external.from_table(tmp_path / "out" / feedback.LABELS_CSV, LABELS)
    np.testing.assert_array_equal(images.decode(labelled.file).pixels, images.decode(dicom_bytes(plain)).pixels)
