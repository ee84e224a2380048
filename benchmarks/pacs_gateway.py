"""The PACS gateway on a real Orthanc, killed and with its server restarted on the way.

Draws studies of every kind that `tests/radiographs.py` knows (chest films, hips, broken files, CT …), stores them by
C-STORE, and lets the gateway work while it gets SIGKILL and Orthanc is restarted at moments drawn over the time in
which results appear. Then checks that each chest study has exactly one report and one capture and no other has any,
that every original is the same byte for byte, that every report reads back by dcmtk's dsrdump, and that no
identifier is in the gateway's log or state file. A second, undisturbed pass over the same studies measures the time.

Needs Orthanc, its DICOMweb plugin and dcmtk (Debian: orthanc, orthanc-dicomweb, dcmtk). A small drawn graph stands in
for a trained model, so the time is that of everything else.

Example: python -m benchmarks.pacs_gateway --studies 200 --kills 10 --restarts 2
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests import gateway, orthanc, radiographs


def check(server: orthanc.Orthanc, studies: Sequence[radiographs.Drawn], originals: dict[str, str]) -> list[str]:
    """What is wrong with what the server holds, in words; nothing where all is well."""
    counts, now = server.counts(), server.digests()
    wrong = []
    for study in studies:
        expected = 1 if study.films else 0
        if (counts[study.uid]["SR"], counts[study.uid]["OT"]) != (expected, expected):
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
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    options = parser.parse_args()
    if reason := orthanc.unavailable():
        sys.exit(reason)
    kinds = radiographs.KINDS
    studies = [radiographs.study(kinds[number % len(kinds)], number) for number in range(options.studies)]
    with_films = [study for study in studies if study.films]
    others = sum(not study.films and study.kind != "ct" for study in studies)  # the search finds no CT
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run_dir = gateway.write_gated_run(folder / "drawn")
        server = orthanc.Orthanc(folder / "orthanc")
        server.start()
        try:
            server.store([file for study in studies for file in study.files])
            originals = server.digests()
            print(f"{len(studies)} studies, {len(originals)} images: {dict(Counter(study.kind for study in studies))}")
            served = gateway.Gateway(folder / "first", dicomweb=server.dicomweb, run_dir=run_dir)
            begun = time.monotonic()
            blows = {"kills": options.kills, "restarts": options.restarts}
            gateway.torment(served, server, results=2 * len(with_films), seed=options.seed, **blows)
            gateway.until_done(served, stored=len(with_films), others=others)
            code = served.end(signal.SIGTERM)
            seconds = time.monotonic() - begun
            print(f"{options.kills} kills, {options.restarts} restarts of Orthanc: {seconds:.0f} s in all")
            wrong = check(server, studies, originals)
            secrets = (*radiographs.PLANTED, *(study.uid for study in studies))
            kept = [served.log, *(folder / "first").glob("state.sqlite3*")]
            wrong += [f"a log or state file holds {secret}" for secret in gateway.kept_secrets(kept, secrets)]
            wrong += [f"SIGTERM ended the gateway with code {code}"] if code else []
            print(
                f"{len(with_films)} chest studies: each one report and one capture" if not wrong else "\n".join(wrong)
            )
        finally:
            server.stop()
        print(undisturbed(folder, studies, run_dir, stored=len(with_films), others=others))
    sys.exit(1 if wrong else 0)


def undisturbed(folder: Path, studies: Sequence[radiographs.Drawn], run_dir: Path, *, stored: int, others: int) -> str:
    """The time for the same studies when nothing is killed."""
    server = orthanc.Orthanc(folder / "second-orthanc")
    server.start()
    try:
        server.store([file for study in studies for file in study.files])
        served = gateway.Gateway(folder / "second", dicomweb=server.dicomweb, run_dir=run_dir)
        served.start()
        gateway.until_done(served, stored=stored, others=others)
        figures = served.figures()
        served.end(signal.SIGTERM)
    finally:
        server.stop()
    seconds, count = (figures[f"cxr_pacs_study_seconds_{name}"] for name in ("sum", "count"))
    return f"undisturbed: {count:.0f} studies with a radiograph in {seconds:.0f} s, {60 * count / seconds:.0f} a minute"


if __name__ == "__main__":
    main()
