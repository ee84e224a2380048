"""The PACS gateway on a real Orthanc, killed and with its server restarted on the way.

Draws studies of every kind that `tests/radiographs.py` knows (chest films, hips, broken files, CT …), stores them by
C-STORE, and lets the gateway work while it gets SIGKILL and Orthanc is restarted at moments drawn over the time in
which results appear. Then checks that each study with a film that predict accepts has exactly one report and one
capture and no other has any, that every original is the same byte for byte, that every report reads back by dcmtk's
dsrdump, and that no identifier is in the gateway's log or state file. A second, undisturbed pass over the same studies
measures the time.

Needs Orthanc, its DICOMweb plugin and dcmtk (Debian: orthanc, orthanc-dicomweb, dcmtk).

Example: python -m checks.pacs_gateway --studies 200 --kills 10 --restarts 2
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from cxr_keras3 import serving
from tests import gateway, orthanc, radiographs


def accepted(studies: Sequence[radiographs.Drawn], run_dir: Path) -> set[str]:
    """The UIDs of the studies of which predict accepts a film."""
    predictor = serving.load(run_dir)
    return {
        study.uid
        for study in studies
        if any(prediction.accepted for prediction in predictor.predict(study.files, batch_size=1))
    }


def check(
    server: orthanc.Orthanc,
    studies: Sequence[radiographs.Drawn],
    with_films: Collection[str],
    originals: dict[str, str],
) -> list[str]:
    """What is wrong with what the server holds, in words; nothing where all is well."""
    counts, now = server.counts(), server.digests()
    wrong = []
    for study in studies:
        expected = 1 if study.uid in with_films else 0
        found = counts[study.uid]
        captures, films = found["OT"] - found["SEG"], found["SEG"]  # a film has its lungs and its map, which is OT, too
        if (found["SR"], captures, films > 0) != (expected, expected, bool(expected)):
            wrong.append(f"a study of kind {study.kind!r} has {dict(counts[study.uid])}")
    if any(now.get(name) != digest for name, digest in originals.items()):
        wrong.append("an original is gone or changed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.dcm"
        for (file,) in server.files("SR").values():
            path.write_bytes(file)
            done = subprocess.run(["dsrdump", "+Pl", path], capture_output=True, check=False)  # noqa: S607 -- dcmtk's
            if done.returncode or b"not for diagnosis" not in done.stdout:
                wrong.append(f"dsrdump cannot read a report: {done.stderr.decode(errors='replace')}")
    return wrong


def main() -> None:
    """Runs the trial and prints what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--model", type=Path, help="run folder; a small drawn graph in its place when left out")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    options = parser.parse_args()
    if reason := orthanc.unavailable():
        sys.exit(reason)
    kinds = radiographs.KINDS
    studies = [radiographs.study(kinds[number % len(kinds)], number) for number in range(options.studies)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run_dir = options.model or gateway.write_gated_run(folder / "drawn")
        with_films = accepted(studies, run_dir)
        others = sum(study.uid not in with_films and study.kind != "ct" for study in studies)  # the search finds no CT
        expected = {"stored": len(with_films), "others": others}
        blows = {"kills": options.kills, "restarts": options.restarts, "seed": options.seed}
        wrong = disturbed(folder / "disturbed", studies, run_dir, with_films=with_films, expected=expected, blows=blows)
        print(undisturbed(folder / "undisturbed", studies, run_dir, expected))
    for each in wrong:
        print(f"fell: {each}")
    if not wrong:
        print(f"held: {len(with_films)} chest studies with one report and one capture each, originals as they were")
    sys.exit(1 if wrong else 0)


def disturbed(
    folder: Path,
    studies: Sequence[radiographs.Drawn],
    run_dir: Path,
    *,
    with_films: Collection[str],
    expected: dict[str, int],
    blows: dict[str, int],
) -> list[str]:
    """Works through the studies under blows; returns what is wrong then."""
    with orthanc.running(folder / "orthanc") as server:
        server.store([file for study in studies for file in study.files])
        originals = server.digests()
        print(f"{len(studies)} studies, {len(originals)} images: {dict(Counter(study.kind for study in studies))}")
        with gateway.Gateway(folder, dicomweb=server.dicomweb, run_dir=run_dir) as served:
            begun = time.monotonic()
            gateway.torment(served, server, results=2 * len(with_films), **blows)
            gateway.until_done(served, **expected)
            code = served.end(signal.SIGTERM)
            seconds = time.monotonic() - begun
        print(f"{blows['kills']} kills, {blows['restarts']} restarts of Orthanc: {seconds:.0f} s in all")
        wrong = check(server, studies, with_films, originals)
    secrets = (*radiographs.PLANTED, *(study.uid for study in studies))
    kept = [served.log, *folder.glob("state.sqlite3*")]
    wrong += [f"a log or state file holds {secret}" for secret in gateway.kept_secrets(kept, secrets)]
    return wrong + ([f"SIGTERM ended the gateway with code {code}"] if code else [])


def undisturbed(folder: Path, studies: Sequence[radiographs.Drawn], run_dir: Path, expected: dict[str, int]) -> str:
    """The time for the same studies when nothing is killed."""
    with orthanc.running(folder / "orthanc") as server:
        server.store([file for study in studies for file in study.files])
        with gateway.Gateway(folder, dicomweb=server.dicomweb, run_dir=run_dir) as served:
            served.start()
            gateway.until_done(served, **expected)
            figures = served.figures()
            served.end(signal.SIGTERM)
    seconds, count = (figures[f"cxr_pacs_study_seconds_{name}"] for name in ("sum", "count"))
    return f"undisturbed: {count:.0f} studies with a radiograph in {seconds:.0f} s, {60 * count / seconds:.0f} a minute"


if __name__ == "__main__":
    main()
