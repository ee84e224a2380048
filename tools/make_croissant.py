"""Makes `tfds_cxr/croissant.json`, the description of the database in the Croissant format, version 1.0.

    python -m tools.make_croissant [--output tfds_cxr/croissant.json]

It describes the archive that Kaggle offers, the images and masks in it with what their paths say, and
`provenance.csv.gz` beside it. The archive's checksum is not known and its address always gives the
current version, so the dataset is marked as live, for which Croissant wants none. The day on which the
database was published is left out too, since no source at hand gives it.

The same inputs give the same bytes. To be run again when `provenance.csv.gz`, the version of the builder or
the first paragraph of `tfds_cxr/README.md` changes.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import mlcroissant as mlc  # type: ignore[import-untyped]  # it ships no types

from cxr_keras3.base.errors import run_command
from tfds_cxr import provenance
from tfds_cxr.database import KAGGLE_HANDLE
from tfds_cxr.labels import LABELS
from tfds_cxr.tfds_cxr_dataset_builder import HOMEPAGE, Builder

PACKAGE = Path(__file__).parent.parent / "tfds_cxr"
ARCHIVE, IMAGES, MASKS, TABLE = "archive", "image-files", "mask-files", "provenance-table"
STEM = r"(.+?)(?:\.png)?$"  # mlcroissant applies it twice to what it joins by, so it must match a bare stem too
LICENCE = (
    "The authors of the database name no licence, and the collections it was compiled from have terms of "
    "their own, some of which forbid passing images on. See README.md, Licence and terms."
)
COLUMNS = {
    "image_id": "File name without its ending, as on disk.",
    "claimed_source": "Collection that the database's own metadata claims.",
    "source": "Collection recovered from evidence, or unknown.",
    "evidence": "How the source was recovered: pixels, order, block or none.",
    "patient_id": "The patient, with the collection that names them, empty where unknown.",
    "patient_evidence": "How the patient was recovered: pixels, order, lettering or none.",
    "age": "The patient's age in years, empty where unknown.",
    "sex": "F or M, empty where unknown.",
    "view": "AP or PA, empty where unknown.",
    "rsna_id": "The film's name in the RSNA Pneumonia Detection Challenge, empty where it is not from there.",
    "nih_file": "The film's name in NIH ChestX-ray14, empty where it is not from there or not known.",
    "group": "The same for images of one patient, copies of one film, and runs of neighbours of BIMCV.",
    "split": "Split of the group: train, validation or test.",
}

# Croissant's vocabulary for responsible AI, as far as the evidence of README.md goes.
RESPONSIBLE_AI = {
    "data_collection": "Compiled by the authors from at least seven public collections, each of one or two classes. "
    "Which image is of which collection was recovered from the images and the order of their numbers.",
    "data_collection_type": ["Secondary Data analysis"],
    "data_collection_missing_data": "Patient, age, sex and view are unknown for nearly all COVID images; "
    "age and sex for the children's images; 11 RSNA images have no NIH match.",
    "data_preprocessing_protocol": [
        "The authors squashed every film to 299x299 pixels of 8 bits and renamed it.",
        "The builder drops colour and splits by patient and copy.",
    ],
    "data_annotation_protocol": "Lung_Opacity and Normal from RSNA: radiologists, on films. Viral Pneumonia and Normal "
    "from Kermany: two physicians, on films. COVID: whoever published the film, mostly by a PCR test, not by what is "
    "visible.",
    "data_biases": [
        "COVID shares no collection with any other class.",
        "Lung_Opacity is AP in 78 %, Normal from RSNA PA in 82 %: the view alone tells the two apart in 80 %.",
        "Viral Pneumonia and 13 % of Normal are children of one to five years, most others adults.",
        "One patient has up to 47 images; 670 patients are in both Lung_Opacity and Normal.",
    ],
    "data_limitations": [
        "Nothing inside the database can show that a model sees COVID-19 rather than a collection.",
        "Abnormal films without opacity and bacterial pneumonia of children are not in it.",
        "COVID images of unknown patients may be of one person in two splits.",
    ],
    "data_use_cases": [
        "Research on classification and on shortcuts, teaching, testing pipelines. Not for diagnosis or triage."
    ],
    "data_social_impact": "A model trained on it alone may name the hospital and be taken for a test of COVID-19.",
    "personal_sensitive_information": [
        "Radiographs of patients, with age and sex where their de-identified source publishes them."
    ],
}


def describe() -> mlc.Metadata:
    """The description as mlcroissant's objects, which check it."""
    context = mlc.Context(is_live_dataset=True)
    citation = (PACKAGE / "CITATIONS.bib").read_text(encoding="utf-8").strip()
    return mlc.Metadata(
        ctx=context,
        name="COVID-19 Radiography Database",
        description=_first_paragraph(PACKAGE / "README.md"),
        creators=[
            mlc.Organization(ctx=context, name="Qatar University"),
            mlc.Organization(ctx=context, name="University of Dhaka"),
        ],
        license=[mlc.CreativeWork(ctx=context, name="No licence named by the authors", description=LICENCE)],
        cite_as=citation,
        url=HOMEPAGE,
        version=str(Builder.VERSION),
        keywords=["chest X-ray", "COVID-19", "pneumonia", "lung mask", "image classification"],
        distribution=_distribution(context),
        record_sets=[_labels(context), _provenance(context), _images(context), _masks(context)],
        **RESPONSIBLE_AI,
    )


def _distribution(context: mlc.Context) -> list[mlc.FileObject | mlc.FileSet]:
    table = (PACKAGE / provenance.TABLE).read_bytes()
    archive = mlc.FileObject(
        ctx=context,
        id=ARCHIVE,
        name="archive.zip",
        description="The archive that Kaggle offers, in its current version; its checksum is not known.",
        content_url=f"https://www.kaggle.com/api/v1/datasets/download/{KAGGLE_HANDLE}",
        encoding_formats=[mlc.EncodingFormat.ZIP],
    )
    folders = [
        mlc.FileSet(
            ctx=context,
            id=files,
            name=files,
            description=description,
            contained_in=[ARCHIVE],
            encoding_formats=[mlc.EncodingFormat.PNG],
            includes=[f"COVID-19_Radiography_Dataset/*/{folder}/*.png"],
        )
        for files, folder, description in (
            (IMAGES, "images", "21,165 chest X-rays of 299x299 pixels, most of them grey, some RGB."),
            (MASKS, "masks", "The lung masks, of 256x256 pixels, named as the images."),
        )
    ]
    evidence = mlc.FileObject(
        ctx=context,
        id=TABLE,
        name=provenance.TABLE,
        description="Source, person, group and split of each image; not part of the archive.",
        content_url=provenance.TABLE,
        encoding_formats=[mlc.EncodingFormat.CSV],
        sha256=hashlib.sha256(table).hexdigest(),
    )
    return [archive, *folders, evidence]


def _labels(context: mlc.Context) -> mlc.RecordSet:
    name = _field(context, "labels/name", "The class, spelled as its folder.")
    return mlc.RecordSet(
        ctx=context,
        id="labels",
        name="labels",
        description="The four classes, in the order of their numbers.",
        data_types=["https://schema.org/Enumeration"],
        key=["labels/name"],
        fields=[name],
        data=[{"labels/name": label} for label in LABELS],
    )


def _provenance(context: mlc.Context) -> mlc.RecordSet:
    fields = [
        _field(
            context,
            f"provenance/{column}",
            COLUMNS[column],
            data_type=mlc.DataType.INTEGER if column == "age" else mlc.DataType.TEXT,
            source=mlc.Source(ctx=context, file_object=TABLE, extract=mlc.Extract(ctx=context, column=column)),
        )
        for column in provenance.COLUMNS
    ]
    return mlc.RecordSet(
        ctx=context,
        id="provenance",
        name="provenance",
        description="What is known of each published image.",
        key=["provenance/image_id"],
        fields=fields,
    )


def _images(context: mlc.Context) -> mlc.RecordSet:
    from_table = [
        _field(
            context,
            f"images/{column}",
            COLUMNS[column],
            data_type=mlc.DataType.INTEGER if column == "age" else mlc.DataType.TEXT,
            source=mlc.Source(ctx=context, field=f"provenance/{column}"),
        )
        for column in ("source", "patient_id", "age", "sex", "view", "group", "split")
    ]
    label = _field(
        context,
        "images/label",
        "The class, from the folder.",
        source=_part_of_path(context, IMAGES, "fullpath", r"[^/]+/([^/]+)/images/[^/]+$"),
    )
    image_id = _field(
        context,
        "images/image_id",
        "The file's name without its ending.",
        source=_part_of_path(context, IMAGES, "filename", STEM),
        references=mlc.Source(ctx=context, field="provenance/image_id"),
    )
    image = _content(context, "images/image", "The chest X-ray.", IMAGES)
    return mlc.RecordSet(
        ctx=context,
        id="images",
        name="images",
        description="The published images with their class, source, person, group and split.",
        key=["images/image_id"],
        fields=[image_id, label, image, *from_table],
    )


def _masks(context: mlc.Context) -> mlc.RecordSet:
    image_id = _field(
        context,
        "masks/image_id",
        "The image's name without its ending.",
        source=_part_of_path(context, MASKS, "filename", STEM),
    )
    return mlc.RecordSet(
        ctx=context,
        id="masks",
        name="masks",
        description="The lung mask of each image.",
        key=["masks/image_id"],
        fields=[image_id, _content(context, "masks/mask", "The lungs, white on black.", MASKS)],
    )


def _content(context: mlc.Context, identifier: str, description: str, files: str) -> mlc.Field:
    extract = mlc.Extract(ctx=context, file_property="content")
    return _field(
        context,
        identifier,
        description,
        data_type=mlc.DataType.IMAGE_OBJECT,
        source=mlc.Source(ctx=context, file_set=files, extract=extract),
    )


def _part_of_path(context: mlc.Context, files: str, file_property: str, regex: str) -> mlc.Source:
    return mlc.Source(
        ctx=context,
        file_set=files,
        extract=mlc.Extract(ctx=context, file_property=file_property),
        transforms=[mlc.Transform(ctx=context, regex=regex)],
    )


def _field(
    context: mlc.Context,
    identifier: str,
    description: str,
    *,
    data_type: str = mlc.DataType.TEXT,
    **where: mlc.Source,
) -> mlc.Field:
    return mlc.Field(
        ctx=context,
        id=identifier,
        name=identifier.rpartition("/")[2],
        description=description,
        data_types=[data_type],
        **where,
    )


def _first_paragraph(path: Path) -> str:
    """The first paragraph below the title, on one line."""
    _, paragraph, *_ = path.read_text(encoding="utf-8").split("\n\n")
    return " ".join(paragraph.split())


def main(arguments: Sequence[str]) -> int:
    """Writes the file."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.make_croissant",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=Path, default=PACKAGE / "croissant.json")
    options = parser.parse_args(arguments)
    text = json.dumps(describe().to_json(), indent=2, ensure_ascii=False)
    options.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    run_command(main)
