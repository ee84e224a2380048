"""Small copies of collections: the layouts that their owners publish, with phantoms in the place of films."""

import csv
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
import tensorflow_datasets as tfds
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from tfds_cxr import phantom
from tfds_cxr.collections import finding
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.labels import LABELS

SIDE = 128


@functools.cache
def film(index: int) -> np.ndarray:
    """A small phantom, uint8 (128, 128)."""
    drawn, _ = phantom.draw(LABELS[index % len(LABELS)], seed=8, index=index)
    return np.asarray(Image.fromarray(drawn).resize((SIDE, SIDE), Image.Resampling.BOX))


def picture(path: Path, index: int, *, wide: bool = False, inverted: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = 255 - film(index) if inverted else film(index)
    Image.fromarray(pixels.astype(np.uint16) * 16 if wide else pixels).save(path)


def dicom(path: Path, index: int, *, age: str = "", sex: str = "", view: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{index}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.BodyPartExamined, data.ViewPosition, data.PatientAge, data.PatientSex = (
        "CR", "CHEST", view, age, sex
    )  # fmt: skip
    data.Manufacturer = "PHANTOM"
    pixels = film(index)
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = pixels.tobytes()
    pydicom.dcmwrite(path, data)


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], *, delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def build(name: str, manual_dir: Path, data_dir: Path) -> CollectionBuilder:
    """Builds a collection's dataset from a copy."""
    builder = finding.builder_class(name)(data_dir=data_dir, file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def rsna(out: Path) -> None:
    # The first two are films of the database: of one NIH patient each.
    ids = ["0a6a5956-58cf-4f17-9e39-7e0d17310f67", "0a8d486f-1aa6-4fcf-b7be-4bf04fc8628b", "other-1", "other-2"]
    classes = ["Lung Opacity", "Lung Opacity", "Normal", "No Lung Opacity / Not Normal"]
    table(out / "stage_2_detailed_class_info.csv", ("patientId", "class"), zip(ids, classes, strict=True))
    boxes = [(ids[0], 1, 2, 3, 4, 1), (ids[0], 5, 6, 7, 8, 1), (ids[1], 1, 1, 9, 9, 1)]
    rows = boxes + [(rsna_id, "", "", "", "", 0) for rsna_id in ids[2:]]
    table(out / "stage_2_train_labels.csv", ("patientId", "x", "y", "width", "height", "Target"), rows)
    names = [{"subset_img_id": "other-1", "img_id": "00099999_003.png"}]
    text(out / "pneumonia-challenge-dataset-mappings_2018.json", json.dumps(names))
    for index, rsna_id in enumerate(ids):
        dicom(out / "stage_2_train_images" / f"{rsna_id}.dcm", index, age="051Y", sex="F", view="PA")


def kermany(out: Path) -> None:
    names = (
        "train/NORMAL/IM-0115-0001.jpeg", "train/PNEUMONIA/person1_bacteria_1.jpeg",
        "train/PNEUMONIA/person1_bacteria_2.jpeg", "train/PNEUMONIA/person7_virus_29.jpeg",
        "val/NORMAL/NORMAL2-IM-1427-0001.jpeg", "test/PNEUMONIA/person1_virus_6.jpeg",
    )  # fmt: skip
    for index, name in enumerate(names):
        picture(out / "chest_xray" / name, index)


def hannover(out: Path) -> None:
    header = ("patient_id", "image_id", "sex", "age", "modality", "projection")
    rows = [("024e7871", "fff13f3a", "f", "", "CR", "pa"), ("042f06a9", "b343e657", "m", "", "CR", "ap"),
            ("042f06a9", "c9280a30", "m", "", "DX", "ap"), ("9a", "not-there", "m", "", "DX", "ap")]  # fmt: skip
    table(out / "data.csv", header, rows)
    for index, row in enumerate(rows[:3]):
        picture(out / "png" / f"{row[1]}.png", index)


def ieee8023(out: Path) -> None:
    header = ("patientid", "offset", "sex", "age", "finding", "survival", "view", "modality", "filename")
    rows = [("2", 0, "M", 65, "Pneumonia/Viral/COVID-19", "Y", "PA", "X-ray", "a.jpg"),
            ("2", 3, "M", 65, "Pneumonia/Viral/COVID-19", "Y", "AP Supine", "X-ray", "b.png"),
            ("3", 0, "F", 40, "Pneumonia/Bacterial/Streptococcus", "", "PA", "X-ray", "c.png"),
            ("4", 0, "F", 40, "Pneumonia/Viral/SARS", "", "PA", "X-ray", "d.png"),
            ("5", 0, "F", 40, "No Finding", "", "L", "X-ray", "e.png"),
            ("6", 0, "F", 40, "Pneumonia/Viral/COVID-19", "", "Axial", "CT", "f.png")]  # fmt: skip
    table(out / "metadata.csv", header, rows)
    for index, row in enumerate(rows):
        picture(out / "images" / str(row[-1]), index)


def covid_cxnet(out: Path) -> None:
    header = ("filename", "patient_id", "sex", "age", "view", "label")
    rows = [("260.jpg", 10, "female", 68, "", "COVID-19"), ("261.jpg", 10, "female", 68, "AP", "COVID-19")]
    table(out / "metadata.csv", header, rows)
    for index, name in enumerate(("260.jpg", "261.jpg", "262.jpg")):
        picture(out / "chest_xray_images" / "covid19" / name, index)


def saved_by_hand(out: Path) -> None:
    for index, name in enumerate(("case-1/a.jpg", "case-1/b.jpg", "case-2/a.png")):
        picture(out / name, index)


def bimcv(out: Path) -> None:
    header = ("participant", "modality_dicom", "age", "gender")
    rows = [("sub-S03044", "['DX']", "['61']", "F"), ("sub-S03045", "['CR']", "['47']", "M")]
    table(out / "participants.tsv", header, rows, delimiter="\t")
    labels = [("sub-S03044", "ses-E06161", "['COVID 19', 'alveolar pattern']")]
    path = out / "derivatives" / "labels" / "labels_covid19_posi.tsv"
    table(path, ("PatientID", "ReportID", "Labels"), labels, delimiter="\t")
    shown = {"00080070": {"vr": "LO", "Value": ["MAKER"]}, "00280004": {"vr": "CS", "Value": ["MONOCHROME1"]}}
    names = (
        "sub-S03044/ses-E06161/mod-rx/sub-S03044_ses-E06161_run-1_bp-chest_vp-ap_dx",
        "sub-S03044/ses-E06161/mod-rx/sub-S03044_ses-E06161_acq-2_run-1_bp-chest_vp-ll_dx",
        "sub-S03045/ses-E06911/mod-rx/sub-S03045_ses-E06911_run-1_bp-chest_cr",
    )
    for index, name in enumerate(names):
        picture(out / f"{name}.png", index, wide=True, inverted=index == 0)
        text(out / f"{name}.json", json.dumps(shown if index == 0 else {}))


def nih(out: Path) -> None:
    header = ("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender",
              "View Position")  # fmt: skip
    rows = [("00001248_026.png", "Infiltration|Effusion", 26, 1248, 33, "F", "PA"),
            ("00001248_001.png", "No Finding", 1, 1248, 31, "F", "PA"),
            ("00000001_000.png", "Cardiomegaly", 0, 1, 57, "M", "AP")]  # fmt: skip
    table(out / "Data_Entry_2017_v2020.csv", header, rows)
    for index, row in enumerate(rows):
        picture(out / f"images_00{index + 1}" / "images" / str(row[0]), index)


def chexpert(out: Path) -> None:
    findings = ("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
                "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other",
                "Fracture", "Support Devices")  # fmt: skip

    def row(path: str, view: str, plane: str, **stated: str) -> tuple[str, ...]:
        values = {name.replace("_", " "): value for name, value in stated.items()}
        return (
            f"CheXpert-v1.0-small/{path}",
            "Female",
            "68",
            view,
            plane,
            *(values.get(name, "") for name in findings),
        )

    header = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *findings)
    train = [row("train/patient00001/study1/view1_frontal.jpg", "Frontal", "AP", No_Finding="1.0"),
             row("train/patient00002/study1/view1_frontal.jpg", "Frontal", "PA", Lung_Opacity="1.0", Edema="-1.0"),
             row("train/patient00002/study1/view2_lateral.jpg", "Lateral", "", Lung_Opacity="1.0"),
             row("train/patient00003/study1/view1_frontal.jpg", "Frontal", "AP", Pneumonia="-1.0")]  # fmt: skip
    valid = [row("valid/patient64541/study1/view1_frontal.jpg", "Frontal", "AP", Cardiomegaly="1.0")]
    root = out / "CheXpert-v1.0-small"
    table(root / "train.csv", header, train)
    table(root / "valid.csv", header, valid)
    for index, entry in enumerate((*train, *valid)):
        picture(out / entry[0], index)


def padchest(out: Path) -> None:
    header = ("", "ImageID", "StudyDate_DICOM", "PatientID", "PatientBirth", "PatientSex_DICOM", "Projection",
              "Manufacturer_DICOM", "Labels")  # fmt: skip
    rows = [(0, "1_a.png", "20140915", "839860488694292331637988235681460987", "1930.0", "F", "PA", "ImagingDynamics",
             "['pulmonary fibrosis', 'infiltrates']"),
            (1, "1_b.png", "20140915", "8398", "1930.0", "F", "L", "Philips", "['normal']"),
            (2, "1_c.png", "20120102", "3138", "1970.0", "M", "AP_horizontal", "Philips", "['normal']"),
            (3, "1_d.png", "20120102", "3139", "1970.0", "M", "PA", "Philips",
             "['normal', 'suboptimal study']")]  # fmt: skip
    table(out / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", header, rows)
    for index, entry in enumerate(rows):
        picture(out / str(index) / str(entry[1]), index, wide=True)


def vindr(out: Path) -> None:
    findings = ("Aortic enlargement", "Lung Opacity", "Other diseases", "No finding")
    reads = {"a": [(0, 1, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1)], "b": [(0, 0, 0, 1)] * 3, "c": [(1, 0, 0, 0)] * 3}
    rows = [(name, f"R{reader}", *votes) for name, each in reads.items() for reader, votes in enumerate(each)]
    table(out / "annotations" / "image_labels_train.csv", ("image_id", "rad_id", *findings), rows)
    table(out / "annotations" / "image_labels_test.csv", ("image_id", *findings), [("d", 0, 1, 0, 0)])
    for index, name in enumerate(("train/a", "train/b", "train/c", "test/d")):
        dicom(out / f"{name}.dicom", index, age="045Y", sex="M")


def covidgr(out: Path) -> None:
    for index, name in enumerate(("P/P1.jpg", "P/P2.jpg", "N/N1.jpg")):
        picture(out / "COVIDGR_1.0" / name, index)


def ricord_1c(out: Path) -> None:
    names = (
        "419639-000002/01-08-2002-CHEST-10161/1001.000000-57404/1-1",
        "419639-000002/x/y/1-1",
        "SITE2-000005/x/y/1-1",
    )
    for index, name in enumerate(names):
        dicom(out / f"MIDRC-RICORD-1C-{name}.dcm", index, age="061Y", sex="M", view="AP")


def actualmed(out: Path) -> None:
    header = ("patientid", "offset", "sex", "age", "finding", "view", "modality", "imagename", "notes")
    rows = [("ANON1", "", "", "", "COVID-19", "PA", "X-ray", "CR.1.png", ""),
            ("ANON1", "", "", "", "", "AP", "X-ray", "CR.2.png", "Inconclusive"),
            ("ANON2", "", "", "", "No finding", "PA", "X-ray", "CR.3.png", "Negative")]  # fmt: skip
    table(out / "metadata.csv", header, rows)
    for index, row in enumerate(rows):
        picture(out / "images" / row[-2], index)


def _tuberculosis(folder: Path, prefix: str, readings: dict[str, str]) -> None:
    for index, (name, reading) in enumerate(readings.items()):
        picture(folder / "CXR_png" / f"{prefix}_{name}.png", index)
        text(folder / "ClinicalReadings" / f"{prefix}_{name}.txt", reading)


def montgomery(out: Path) -> None:
    readings = {"0001_0": "Patient's Sex: F\nPatient's Age: 027Y\nnormal\n",
                "0104_1": "Patient's Sex: M\nPatient's Age: 050Y\ncavitary nodular infiltrate\n"}  # fmt: skip
    _tuberculosis(out / "MontgomerySet", "MCUCXR", readings)


def shenzhen(out: Path) -> None:
    readings = {"0001_0": "male 45yrs\nnormal\n", "0327_1": "female 28yrs\nSTB\n", "0500_1": "male 8 month\nTB\n"}
    _tuberculosis(out / "ChinaSet_AllFiles", "CHNCXR", readings)


def openi(out: Path) -> None:
    reports = {"CXR1": ("normal", ("CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001")),
               "CXR2": ("Opacity/lung/base/left", ("CXR2_IM-0652-1001",)),
               "CXR3": ("Cardiomegaly/mild", ("CXR3_IM-1384-1001",))}  # fmt: skip
    index = 0
    for uid, (major, images) in reports.items():
        parents = "".join(f'<parentImage id="{image}"><caption>PA</caption></parentImage>' for image in images)
        head = '<?xml version="1.0" encoding="utf-8"?>'
        body = f'<eCitation><uId id="{uid}"/><MeSH><major>{major}</major></MeSH>{parents}</eCitation>'
        text(out / "ecgen-radiology" / f"{uid[3:]}.xml", head + body)
        for image in images:
            picture(out / "NLMCXR_png" / f"{image}.png", index)
            index += 1


WRITERS: dict[str, Callable[[Path], None]] = {
    "actualmed": actualmed,
    "bimcv": bimcv,
    "chexpert": chexpert,
    "covid_cxnet": covid_cxnet,
    "covidgr": covidgr,
    "eurorad": saved_by_hand,
    "figshare_covid": saved_by_hand,
    "hannover": hannover,
    "ieee8023": ieee8023,
    "kermany": kermany,
    "montgomery": montgomery,
    "nih": nih,
    "openi": openi,
    "padchest": padchest,
    "ricord_1c": ricord_1c,
    "rsna": rsna,
    "shenzhen": shenzhen,
    "sirm": saved_by_hand,
    "vindr": vindr,
}


def all_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Writes every collection into a folder of its own."""
    for name, write in WRITERS.items():
        write(folder / name)
        yield name, folder / name
