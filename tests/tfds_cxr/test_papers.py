"""The papers beside the builder: the data card, the Croissant description, tags, and that all are shipped."""

import io
import json
import re
import shutil
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorflow_datasets.core import dataset_metadata

from tfds_cxr import provenance
from tfds_cxr.labels import LABELS, PUBLISHED_COUNTS
from tfds_cxr.splits import SPLITS
from tfds_cxr.tfds_cxr_dataset_builder import Builder

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tfds_cxr"
CARD = (PACKAGE / "README.md").read_text(encoding="utf-8")
WORDS = " ".join(CARD.split())
TABLE = list(provenance.load().values())
PAPERS = ("README.md", "CITATIONS.bib", "TAGS.txt", "provenance.csv.gz", "croissant.json", "py.typed")


def label_of(entry: provenance.Provenance) -> str:
    return entry.image_id.rpartition("-")[0]


def rows(heading: str) -> list[list[str]]:
    """The cells of all tables of a section of the card."""
    section = CARD.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return Builder(data_dir=tmp_path_factory.mktemp("empty"))


def test_card_counts_are_those_of_the_provenance_table() -> None:
    counts = Counter((label_of(entry), entry.source, entry.split) for entry in TABLE)
    stated, label = {}, ""
    for row in rows("Where the images come from")[1:]:
        label = row[0] or label
        in_splits = [int(number.replace(",", "")) for number in row[3].split("/")]
        assert sum(in_splits) == int(row[2].replace(",", ""))
        stated.update({(label, row[1], split): n for split, n in zip(SPLITS, in_splits, strict=True) if n})
    for split in SPLITS:
        assert stated.pop(("all", "", split)) == sum(entry.split == split for entry in TABLE)
    assert stated == counts


def test_card_figures_follow_from_the_table() -> None:
    groups = Counter(entry.group for entry in TABLE)
    of_several = [size for size in groups.values() if size > 1]
    outside = Counter(e.group for e in TABLE if label_of(e) == "COVID" and e.source != "bimcv")
    covid = [size for size in outside.values() if size > 1]
    persons = Counter(entry.patient_id for entry in TABLE if entry.patient_id)
    agree = Counter(label_of(entry) for entry in TABLE if entry.claimed_source == entry.source)
    of_source: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in TABLE:
        of_source[entry.source][label_of(entry)] += 1
    oracle = sum(max(labels.values()) for labels in of_source.values()) / len(TABLE)
    for statement in (
        f"{len(groups):,}, of which {len(of_several):,} hold several images",
        f"({sum(of_several):,} images; the largest {max(of_several)})",
        f"{len(covid)} COVID groups outside BIMCV hold {sum(covid)} images",
        f"{persons.total():,} images of {len(persons):,} patients",
        f"agrees for {agree['COVID']:,} of 3,616 COVID and {agree['Normal']:,} of 10,192 Normal files",
        f"whole database (computed from the table above) | {oracle:.3f} |",
        f"whole database | {max(PUBLISHED_COUNTS.values()) / len(TABLE):.3f} | 0.25 |",
    ):
        assert statement in WORDS


def test_card_describes_every_feature_as_the_builder_has_it(builder: Builder) -> None:
    features = builder.info.features
    described = {row[0].strip("`"): row[1] for row in rows("A record")[1:]}
    assert set(described) == set(features)
    for name, words in described.items():
        shape, dtype = features[name].shape, np.dtype(features[name].np_dtype).name
        assert words == f"{shape or ''} {dtype.replace('object', 'text')}".strip()


def test_card_names_the_build_s_metadata(data_dir: Path) -> None:
    for name in Builder(data_dir=data_dir).info.metadata:
        assert f"`{name}`" in CARD


def test_card_is_short_and_its_links_lead_somewhere() -> None:
    assert len(CARD.split()) < 2000
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", CARD):
        assert (PACKAGE / target).resolve().exists(), target


def test_tfds_reads_the_papers(builder: Builder) -> None:
    assert builder.info.description.strip() == CARD.strip()
    assert builder.info.citation.count("@article") == 2
    tags = dataset_metadata.load(PACKAGE).tags
    assert tags
    assert set(tags) <= set(dataset_metadata.valid_tags())


def test_croissant_is_what_the_tool_makes(tmp_path: Path, run_python: Callable) -> None:
    made = tmp_path / "croissant.json"
    done = run_python("-m", "tools.make_croissant", "--output", made)
    assert done.returncode == 0, done.stderr
    shipped = (PACKAGE / "croissant.json").read_text(encoding="utf-8")
    assert made.read_text(encoding="utf-8") == shipped, "run python -m tools.make_croissant"


READ_CROISSANT = """
import json, sys
import mlcroissant
dataset = mlcroissant.Dataset(sys.argv[1], mapping={"archive": sys.argv[2]})
issues = dataset.metadata.ctx.issues
plain = lambda value: value.decode() if isinstance(value, bytes) else getattr(value, "size", value)
records = {
    name: [{key: plain(value) for key, value in record.items()} for record in dataset.records(name)]
    for name in ("images", "masks", "labels")
}
print(json.dumps({"errors": list(issues.errors), "warnings": list(issues.warnings), "records": records}))
"""


def test_croissant_is_valid_and_reads_an_archive(tmp_path: Path, run_python: Callable) -> None:
    chosen = ("COVID-1300", "Lung_Opacity-1", "Normal-63", "Viral Pneumonia-2")
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for label, image_id in zip(LABELS, chosen, strict=True):
            for folder, size in (("images", 299), ("masks", 256)):
                buffer = io.BytesIO()
                Image.new("L", (size, size)).save(buffer, "PNG")
                name = f"COVID-19_Radiography_Dataset/{label}/{folder}/{image_id}.png"
                file.writestr(name, buffer.getvalue())
    # A process of its own: rdflib, which mlcroissant reads with, warns of its own deprecations.
    done = run_python(
        "-c", READ_CROISSANT, PACKAGE / "croissant.json", archive, CROISSANT_CACHE=str(tmp_path / "cache")
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["errors"] == []
    (warning,) = result["warnings"]
    assert "datePublished" in warning
    records = result["records"]
    assert [record["labels/name"] for record in records["labels"]] == list(LABELS)
    assert [record["masks/mask"] for record in records["masks"]] == [[256, 256]] * 4
    for label, image_id, record in zip(LABELS, chosen, records["images"], strict=True):
        known = provenance.lookup(label, image_id)
        assert record == {
            "images/image_id": image_id,
            "images/label": label,
            "images/image": [299, 299],
            "images/source": known.source,
            "images/patient_id": known.patient_id or None,
            "images/age": known.age,
            "images/sex": known.sex or None,
            "images/view": known.view or None,
            "images/group": known.group,
            "images/split": known.split,
        }


def test_the_wheel_holds_the_papers(tmp_path: Path, run_python: Callable) -> None:
    # From a copy: a build in place leaves files behind, and takes up those an earlier one left.
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source)
    for name in ("cxr_keras3", "tfds_cxr", "demo"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    done = run_python("-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    assert {f"tfds_cxr/{name}" for name in PAPERS} | {"tfds_cxr/templates/report.html"} <= names
    assert {"cxr_keras3/py.typed", "cxr_keras3/report/templates/report.html"} <= names
    kept_out = (".dcm", ".png", ".jpg", ".h5", ".keras")
    assert {name for name in names if name.endswith(kept_out)} == {"cxr_keras3/reference/model.keras"}
