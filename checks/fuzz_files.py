"""Spoils every file that the program reads, guided by the code that it reaches, and reports what came of it.

    python -m checks.fuzz_files [READER ...] [--seconds 60] [--corpus DIR]

Atheris (libFuzzer for Python; pip install 'cxr_keras3[fuzz]', on Linux) keeps what reaches new code. Each reader of
`tests.readers` is fuzzed for so many seconds in a process of its own, which may have 2 GiB. It must return, or refuse
the file by a UserError or ImageError of one line; anything else is a defect, is kept in DIR/READER/defects, and the
exit code is 1. The corpus is kept between runs in the user's cache folder, or in DIR.
"""

import argparse
import contextlib
import os
import re
import resource
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import platformdirs

ROOT = Path(__file__).parents[1]
MEMORY = 2 * 2**30
TIMEOUT = 20
_INSTRUMENTED = ("cxr_keras3", "tfds_cxr", "demo", "tests.readers", "openpyxl", "pydicom", "numpy.lib")


def main() -> int:
    """Fuzzes the readers one after the other and prints what came of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help="see tests/readers.py; all when none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    default = platformdirs.user_cache_path("cxr_keras3") / "fuzz"
    parser.add_argument("--corpus", type=Path, default=default, metavar="DIR")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)  # what this starts itself with
    options = parser.parse_args()
    if options.alone:
        fuzz(options.readers[0], options.corpus, seconds=options.seconds)
    from tests.readers import READERS  # noqa: PLC0415 -- instrumented where it fuzzes

    print(f"{'reader':22} {'inputs':>9} {'a second':>9} {'MiB':>6} {'defects':>8}")
    inputs, defects, largest = 0, 0, 0
    for name in options.readers or READERS:
        found = _fuzzed(name, options.corpus, seconds=options.seconds)
        print(f"{name:22} {found[0]:9} {found[0] / options.seconds:9.0f} {found[1]:6} {found[2]:8}", flush=True)
        inputs, defects, largest = inputs + found[0], defects + found[2], max(largest, found[1])
    word = "fell" if defects else "held"
    print(f"{word}: {inputs} inputs, {defects} kinds of defect; largest memory {largest} MiB")
    return 1 if defects else 0


def _fuzzed(name: str, corpus: Path, *, seconds: int) -> tuple[int, int, int]:
    """Inputs, peak memory in MiB and defects of a reader, fuzzed in a process of its own."""
    command = [sys.executable, "-m", "checks.fuzz_files", name, "--alone", "--seconds", str(seconds)]
    done = subprocess.run(
        [*command, "--corpus", str(corpus)], cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    said = {word: int(value) for word, value in re.findall(r"stat::(\w+):\s+(\d+)", done.stderr)}
    defects = sorted(path for path in (corpus / name / "defects").iterdir() if path.suffix != ".txt")
    for path in defects:
        notes = path.with_suffix(".txt")
        print(f"  {path}: {notes.read_text().splitlines()[-1] if notes.exists() else 'it ended the process'}")
    if not said:
        print(done.stderr[-2000:])
    return said.get("number_of_executed_units", 0), said.get("peak_rss_mb", 0), max(len(defects), int(not said))


def fuzz(name: str, corpus: Path, *, seconds: int) -> None:
    """Fuzzes a reader in this process, which then ends."""
    import atheris  # noqa: PLC0415 -- only this process needs it

    os.environ["KERAS_BACKEND"] = "jax"
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests import readers  # noqa: PLC0415 -- see above
    inputs, defects = (corpus / name / kind for kind in ("inputs", "defects"))
    for folder in (inputs, defects):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        readers.prepare(folder)
        readers.hasten(folder)
        path = folder / readers.READERS[name].file
        for seed in path.iterdir() if path.is_dir() else [path]:
            (inputs / f"valid-{seed.name}").write_bytes(seed.read_bytes())
        path = path / "spoilt" if path.is_dir() else path
        one = _judged(lambda: readers.READERS[name].read(folder, path), path, defects)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        limits = [f"-max_total_time={seconds}", f"-timeout={TIMEOUT}", "-rss_limit_mb=2048", "-max_len=262144"]
        atheris.Setup([sys.argv[0], *limits, "-print_final_stats=1", f"-artifact_prefix={defects}/", str(inputs)], one)
        atheris.Fuzz()


def _judged(read: Callable[[], object], path: Path, defects: Path) -> Callable[[bytes], None]:
    """What libFuzzer calls: writes the file, has it read, and keeps the first input of each kind of defect."""
    from cxr_keras3.base.errors import UserError  # noqa: PLC0415 -- instrumented before
    from cxr_keras3.images import ImageError  # noqa: PLC0415 -- see above

    known = set()

    def one(data: bytes) -> None:
        path.write_bytes(data)
        for journal in ("-wal", "-shm"):  # of SQLite, which would replay the last input's
            path.with_name(path.name + journal).unlink(missing_ok=True)
        try:
            with contextlib.redirect_stderr(None):
                read()
        except (UserError, ImageError) as error:
            if "\n" not in str(error):
                return
            kind, told = f"lines-{type(error).__name__}", repr(str(error))
        except Exception as error:  # noqa: BLE001 -- the very thing looked for
            ours = [frame for frame in traceback.extract_tb(error.__traceback__) if str(ROOT) in frame.filename]
            last = ours[-1]
            kind = f"{type(error).__name__}-{Path(last.filename).stem}-{last.lineno}"
            told = "".join(traceback.format_exception(error))
        else:
            return
        if kind not in known:
            known.add(kind)
            (defects / kind).write_bytes(data)
            (defects / f"{kind}.txt").write_text(told)

    return one


if __name__ == "__main__":
    sys.exit(main())
