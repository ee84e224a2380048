"""Tables of results: what they hold, and that an interruption at any moment costs nothing."""

import csv
import json
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_keras3.base.errors import UserError
from cxr_keras3.serving import Prediction
from cxr_keras3.serving.results import SUFFIXES, Results

NAMES = ("COVID", "Normal")


def prediction(index: int, *, model: str = "first") -> Prediction:
    accepted = index % 3 != 0
    return Prediction(
        file=f'films/{index}, "a".png',
        accepted=accepted,
        reject_reason="" if accepted else "damaged, export it again",
        abnormal_score=0.1 * index if accepted else None,
        flag=index % 2 == 0 if accepted else None,
        predicted="COVID" if accepted else "",
        prediction_set=NAMES[: index % 2 + 1] if accepted else None,
        withheld="no ground to name it" if accepted else "",
        probabilities={"COVID": 0.1 * index, "Normal": 1.0 - 0.1 * index} if accepted else {},
        site="north",
        distance=0.25 if accepted else None,
        evidence_in_lungs=0.5 if accepted else None,
        warnings=("a warning", "another"),
        model=model,
        version="0.1.0",
        sop_instance_uid="1.2.3",
        image=None,
        activation_maps=None,
        lungs=None,
        features=None,
    )


ALL = [prediction(index) for index in range(8)]


def write(path: Path, *, resume: bool = False, model: str = "first") -> Results:
    with Results(path, class_names=NAMES, model=model, resume=resume) as results:
        for each in ALL:
            if each.file not in results.done:
                results.add(each)
    return results


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_holds_every_field(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"results{suffix}"
    results = write(path)
    assert results.refused == [(ALL[index].file, "damaged, export it again") for index in (0, 3, 6)]
    if suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert rows == [json.loads(json.dumps(each.record())) for each in ALL]
    elif suffix == ".csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["file"] for row in rows] == [each.file for each in ALL]
        assert rows[1] == {
            "file": ALL[1].file,
            "accepted": "True",
            "reject_reason": "",
            "COVID": "0.1",
            "Normal": "0.9",
            "predicted": "COVID",
            "prediction_set": "COVID; Normal",
            "abnormal_score": "0.1",
            "flag": "False",
            "withheld": "no ground to name it",
            "site": "north",
            "distance": "0.25",
            "evidence_in_lungs": "0.5",
            "warnings": "a warning; another",
            "model": "first",
            "version": "0.1.0",
            "sop_instance_uid": "1.2.3",
        }
        assert rows[0]["COVID"] == rows[0]["flag"] == ""
    else:
        rows = pq.read_table(path).to_pylist()
        assert [row["Normal"] for row in rows] == [each.probabilities.get("Normal") for each in ALL]
        assert [row["flag"] for row in rows] == [each.flag for each in ALL]
        assert rows[1]["prediction_set"] == ["COVID", "Normal"]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=60, deadline=None)
@given(share=st.floats(0.0, 1.0))
def test_cut_anywhere_and_resumed_it_is_the_same_file(suffix: str, share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = (Path(folder) / f"{name}{suffix}" for name in ("whole", "cut"))
        rows = cut.with_name(f"{cut.name}.partial.jsonl") if suffix == ".parquet" else cut
        write(whole)
        source = whole
        if suffix == ".parquet":
            source = Path(folder) / "rows.jsonl"
            write(source)
        content = source.read_bytes()
        rows.write_bytes(content[: round(share * len(content))])
        results = write(cut, resume=True)
        assert cut.read_bytes() == whole.read_bytes()
        assert len(results.refused) == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_finished_table_is_not_touched_unasked_and_resuming_it_adds_nothing(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"results{suffix}"
    write(path)
    content = path.read_bytes()
    with pytest.raises(UserError, match="must not exist yet"):
        write(path)
    write(path, resume=True)
    assert path.read_bytes() == content


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_results_of_another_model_are_not_mixed_in(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"results{suffix}"
    write(path)
    with pytest.raises(UserError, match="of the model first, not second"):
        write(path, resume=True, model="second")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_file_of_another_kind_is_left_as_it_is(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"results{suffix}"
    path.write_text("something else\nof mine\n")
    with pytest.raises(UserError, match="another kind"):
        write(path, resume=True)
    assert path.read_text() == "something else\nof mine\n"


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.csv, \.jsonl, \.parquet"):
        write(tmp_path / "results.xlsx")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_second_writer_is_refused_and_disturbs_nothing(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"results{suffix}"
    with Results(path, class_names=NAMES, model="first", resume=False) as results:
        results.add(ALL[0])
        with pytest.raises(UserError, match="only one command may write"):
            Results(path, class_names=NAMES, model="first", resume=True)
        for each in ALL[1:]:
            results.add(each)
    whole = path.read_bytes()
    assert len(write(path, resume=True).done) == len(ALL)
    assert path.read_bytes() == whole
