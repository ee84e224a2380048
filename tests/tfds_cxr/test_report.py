"""The page about a built dataset: right counts, right pictures, nothing loaded from elsewhere."""

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxr_keras3.base.errors import UserError
from tfds_cxr import reading, report, survey, tables
from tfds_cxr.labels import LABELS, PUBLISHED_COUNTS
from tfds_cxr.splits import SPLITS
from tfds_cxr.survey import Facts, Picture
from tfds_cxr.tfds_cxr_dataset_builder import Builder

VOID = {"meta", "img", "br", "rect", "line"}


class Page(HTMLParser):
    """Tables, pictures and addresses of a page; a tag that is not closed is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.open, self.addresses, self.alternatives = text, [], [], []
        self.tables: list[list[list[str]]] = []
        self.feed(text)
        self.close()
        assert self.open == ["html"] or not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "data", "action", "xlink:href"):
                self.addresses.append(value)
            if name == "alt":
                self.alternatives.append(value)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    @property
    def words(self) -> str:
        """The text without tags and line ends."""
        return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", self.text, flags=re.DOTALL).split())


@pytest.fixture(scope="module")
def page(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    out = tmp_path_factory.mktemp("report") / "new" / "dataset.html"
    assert report.main([str(data_dir), str(out)]) == 0
    return Page(out.read_text(encoding="utf-8"))


def test_counts_are_those_of_the_dataset(page: Page, data_dir: Path) -> None:
    counts = Builder(data_dir=data_dir).info.metadata["counts"]
    by_source, by_class, by_patient, group_sizes = page.tables
    assert by_source[0] == ["class", "source", *SPLITS, "images", ""]
    for label, row in zip(LABELS, by_source[1:-1], strict=True):
        in_splits = [counts[split][label] for split in SPLITS]
        assert row == [label, "unknown", *map(str, in_splits), str(sum(in_splits)), ""]
    of_splits = [sum(counts[split].values()) for split in SPLITS]
    assert by_source[-1] == ["all", "", *map(str, of_splits), str(sum(of_splits)), ""]
    for label, row in zip(LABELS, by_class[1:], strict=True):
        images = str(sum(counts[split][label] for split in SPLITS))
        assert row == [label, images, f"{PUBLISHED_COUNTS[label]:,}", images, "0", "100 %", f"L {images}"]
    for label, row in zip(LABELS, by_patient[1:], strict=True):  # phantoms stand, and are no patients
        images = str(sum(counts[split][label] for split in SPLITS))
        assert row == [label, "0", "0", "0", images, "0", "0", "0", images, "-", "-"]
    assert group_sizes == [["images in a group", "1"], ["groups", str(sum(of_splits))]]


def test_synthetic_images_are_called_so(page: Page) -> None:
    assert "The images are synthetic" in page.words
    assert "Not to be published" not in page.words


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"<script|<link|<iframe|url\(|@import", page.text)


def test_samples_show_the_outline_of_the_mask(page: Page) -> None:
    shown = len(LABELS) * report.SAMPLES_PER_CLASS
    assert len(page.addresses) == len(page.alternatives) == shown
    assert all(alternative.split(", ")[0] in LABELS for alternative in page.alternatives)
    for address in page.addresses:
        film = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        assert film.size == (299, 299)
        red, _, blue = np.asarray(film, dtype=np.int16).transpose(2, 0, 1)
        assert (red - blue > 100).sum() > 200


def test_array_record_is_read_too(database_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    builder = Builder(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=database_dir))
    found = survey.facts(reading.find(tmp_path))
    assert set(found) == set(survey.facts(reading.find(data_dir)))
    key = found[0].key
    (picture,) = survey.pictures(reading.find(tmp_path), {key}).values()
    expected = survey.pictures(reading.find(data_dir), {key})[key]
    np.testing.assert_array_equal(picture.pixels, expected.pixels)
    np.testing.assert_array_equal(picture.mask, expected.mask)
    assert picture.pixels.mean() == found[0].brightness


def fact(label: str, number: int, **known: str | bool | float | None) -> Facts:
    image_id = f"{label}-{number}"
    defaults = {
        "split": "train",
        "claimed_source": "rsna",
        "source": "rsna",
        "patient_id": "",
        "age": None,
        "sex": "",
        "view": "",
        "group_id": image_id,
        "original_mode": "L",
        "has_mask": False,
        "brightness": 100.0,
        "kilobytes": 40.0,
    }
    return Facts(label=label, image_id=image_id, **defaults | known)


def real_page(facts: list[Facts]) -> Page:
    blank = Picture(np.zeros((299, 299), np.uint8), None)
    groups = len({fact.group_id for fact in facts})
    counts = {
        split: {label: sum((f.split, f.label) == (split, label) for f in facts) for label in LABELS} for split in SPLITS
    }
    return Page(
        report.render(
            description={
                "version": "2.0.0",
                "file_format": "tfrecord",
                "size": "1 MiB",
                "synthetic": False,
                "complete": False,
                "counts": counts,
                "with_mask": sum(fact.has_mask for fact in facts),
                "groups": groups,
                "images_in_groups_of_several": 4,
            },
            facts=facts,
            samples=report.choose_samples(facts),
            same_patient=report.choose_groups(facts, patient_known=True),
            copies=report.choose_groups(facts, patient_known=False),
            pictures={fact.key: blank for fact in facts},
        )
    )


MIXED = [
    fact("COVID", 1, source="bimcv", claimed_source="bimcv", group_id="COVID-1", original_mode="RGB"),
    fact("COVID", 2, source="bimcv", claimed_source="sirm", group_id="COVID-1"),
    fact("COVID", 3, source="unknown"),
    fact("Lung_Opacity", 1, split="test", patient_id="nih:7", age=61.0, sex="M", view="AP"),
    fact("Normal", 1, patient_id="nih:7", age=60.0, sex="M", view="PA"),
    fact("Normal", 2, patient_id="nih:8", age=17.0, sex="F", view="PA"),
    fact("Normal", 10, source="kermany", patient_id="kermany:IM-1", group_id="kermany:IM-1", has_mask=True),
    fact("Normal", 9, source="kermany", patient_id="kermany:IM-1", group_id="kermany:IM-1"),
    fact("Viral Pneumonia", 1, source="kermany", patient_id="<b>", group_id="kermany:<b>"),
]


def test_known_truth_of_a_mixed_dataset() -> None:
    page = real_page(MIXED)
    by_source, by_class, by_patient, group_sizes = page.tables
    assert ["COVID", "bimcv", "2", "0", "0", "2", ""] in by_source
    assert ["", "unknown", "1", "0", "0", "1", ""] in by_source
    assert by_class[1] == ["COVID", "3", "3,616", "2", "0", "0 %", "L 2, RGB 1"]
    assert by_patient[1:] == [
        ["Lung_Opacity", "1", "1", "1", "0", "0", "0", "1", "0", "61 (61 to 61)", "0"],
        ["Normal", "3", "1", "0", "2", "2", "1", "1", "2", "38 (28 to 49)", "1"],
        ["Viral Pneumonia", "1", "0", "0", "0", "1", "0", "0", "1", "-", "-"],
    ]
    assert "knew it and nothing else could name the right class of 100.0 % ;" in page.words
    assert group_sizes == [["images in a group", "1", "2"], ["groups", "5", "2"]]
    # By source 2 bimcv, 1 unknown, 2 of 3 rsna and 2 of 3 kermany are right; 4 of the 8 known are as claimed.
    assert "the right class of 77.8 % of them" in page.words
    assert "right for 44.4 %" in page.words
    assert "names the same one for 50 % of the images whose source is known" in page.words
    assert "none of the 7 is" in page.words
    assert "Not to be published" in page.words


def test_groups_stand_side_by_side_in_the_order_of_their_numbers() -> None:
    assert [[f.image_id for f in group] for group in report.choose_groups(MIXED, patient_known=True)] == [
        ["Normal-9", "Normal-10"]
    ]
    assert [[f.image_id for f in group] for group in report.choose_groups(MIXED, patient_known=False)] == [
        ["COVID-1", "COVID-2"]
    ]
    page = real_page(MIXED)
    assert page.alternatives[-4:] == [
        "Normal, Normal-9",
        "Normal, Normal-10",
        "COVID, COVID-1",
        "COVID, COVID-2",
    ]
    assert "kermany:IM-1 2 images, train" in page.words


def test_names_from_the_data_are_not_taken_for_markup() -> None:
    pair = [fact("COVID", n, patient_id="<b>", group_id="<b>x", source="<i>") for n in (1, 2)]
    page = real_page(pair)
    assert "&lt;b&gt;x" in page.text
    assert "<b>" not in page.text
    assert "<i>" not in page.text.replace("<i style", "")


def test_a_group_in_two_splits_is_reported() -> None:
    pair = [fact("COVID", 1, group_id="g"), fact("COVID", 2, group_id="g", split="test")]
    assert "1 of the 1 is" in real_page(pair).words


many_facts = st.lists(
    st.builds(
        fact,
        st.sampled_from(LABELS),
        st.integers(1, 99),
        source=st.sampled_from(["a", "b", "c"]),
        has_mask=st.booleans(),
    ),
    min_size=1,
)


@given(many_facts)
def test_knowing_the_source_never_hurts(facts: list[Facts]) -> None:
    oracle = tables.oracle(facts, "source")
    assert 0.25 <= oracle["largest_class"] <= oracle["known"] <= 1


@given(many_facts)
def test_samples_show_every_source_first(facts: list[Facts]) -> None:
    for label, chosen in report.choose_samples(facts).items():
        sources = {f.source for f in facts if f.label == label}
        assert {f.label for f in chosen} <= {label}
        assert {f.source for f in chosen[: len(sources)]} == sources


def test_no_dataset_is_one_clear_line(tmp_path: Path, run_python: Callable) -> None:
    done = run_python("-m", "tfds_cxr.report", tmp_path, tmp_path / "out.html")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert str(tmp_path) in line
    assert "run tfds build tfds_cxr" in line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.html").exists()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"must exist, received {tmp_path / 'nowhere'}"):
        report.main([str(tmp_path / "nowhere"), str(tmp_path / "out.html")])


def test_a_folder_as_target_is_refused_before_reading(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="OUT must be a file"):
        report.main([str(tmp_path / "nowhere"), str(tmp_path)])


def test_help_needs_no_tensorflow(run_python: Callable) -> None:
    code = "import sys, tfds_cxr.report; print({'tensorflow', 'tensorflow_datasets'} & set(sys.modules))"
    assert run_python("-c", code).stdout == "set()\n"
