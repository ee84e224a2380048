"""Runs on the Hugging Face hub: `hf://owner/name`, or `hf://owner/name@revision`.

A run is pushed with what it needs to answer and nothing of how it came about. One that is fetched is a stranger's: size
and names are looked at before it is fetched, and every checksum before any of it is used.
"""

import dataclasses
import fnmatch
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    constants,
    get_token,
    snapshot_download,
)
from huggingface_hub.errors import LocalEntryNotFoundError, RevisionResolutionError
from huggingface_hub.utils.tqdm import disable_progress_bars

from cxr_keras3.base import files, progress, records
from cxr_keras3.base.errors import UserError
from cxr_keras3.run.collections import COLLECTIONS
from cxr_keras3.run.folder import (
    ABNORMALITY,
    CALIBRATION,
    EVALUATION,
    EXPORTS,
    GATE,
    MANIFEST,
    METRICS,
    MODEL,
    MODEL_CARD,
    SEGMENTER,
    Run,
)
from cxr_keras3.run.metrics import Errors
from cxr_keras3.run.parity import PARITY

TRAVELS = (
    MANIFEST,
    MODEL,
    CALIBRATION,
    ABNORMALITY,
    GATE,
    MODEL_CARD,
    "LICENSE.txt",
    f"{EVALUATION}/{METRICS}",
    f"{COLLECTIONS}/{METRICS}",
    f"{EXPORTS}/openvino/*",
    f"{SEGMENTER}/*",
)
"""The files of a run that are pushed and fetched, by their names in its folder."""
LARGEST = 2 * 1024**3
"""Bytes that a fetched run may have."""
TIMEOUT = 30.0
"""Seconds that the hub is given to say what it holds."""
_HANDLE = re.compile(r"hf:/{1,2}(\w[\w.-]*/\w[\w.-]*)(?:@([\w.-]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REFUSED = (httpx2.HTTPError, OSError, ValueError, RuntimeError, RevisionResolutionError)
"""What huggingface_hub raises where the hub cannot be reached or refuses."""

if not progress.console.is_terminal:
    disable_progress_bars()  # each file has its own, which fill a log


@dataclass(frozen=True)
class Handle:
    """A run on the hub.

    Attributes:
        repository: Owner and name, with a slash between.
        revision: A branch, a tag or a commit; None for the newest of the main branch.
    """

    repository: str
    revision: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a handle; a `Path` made of one has lost a slash, which is forgiven.

        Raises:
            UserError: Where it is none.
        """
        found = _HANDLE.fullmatch(text)
        if found is None:
            raise UserError(f"a run on the hub must be hf://OWNER/NAME or hf://OWNER/NAME@REVISION, received {text!r}")
        return cls(found[1], found[2])

    def __str__(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


def fetch(handle: Handle) -> tuple[Path, Handle]:
    """Fetches a run into the hub's cache; a commit that is there is taken from it without asking the hub.

    Returns:
        The folder, in which nothing has been checked yet, and the handle with the commit that it is of.

    Raises:
        UserError: Where the hub does not give it, or it is too large.
    """
    try:
        folder = _kept(handle) or _downloaded(handle)
    except _REFUSED as error:
        raise UserError(
            f"{handle} must be a run that the hub gives, it does not ({_said(error)}); check name and network, log in "
            "with hf auth login for a private one, or set HF_HUB_OFFLINE=1 for what was fetched before"
        ) from error
    return folder, dataclasses.replace(handle, revision=folder.name)


def _kept(handle: Handle) -> Path | None:
    """What the cache holds of a commit; where the hub may not be asked, what it was last asked for."""
    if not (constants.HF_HUB_OFFLINE or _COMMIT.fullmatch(handle.revision or "")):
        return None
    try:
        return _snapshot(handle.repository, handle.revision, local_files_only=True)
    except LocalEntryNotFoundError:  # of a part of it as well
        if constants.HF_HUB_OFFLINE:
            raise
        return None


def _downloaded(handle: Handle) -> Path:
    api = HfApi()
    revision = api.resolve_revision(handle.repository, revision=handle.revision)
    found = api.model_info(handle.repository, revision=revision.resolved, files_metadata=True, timeout=TIMEOUT)
    sizes = {each.rfilename: each.size or 0 for each in found.siblings or ()}
    total = sum(size for name, size in sizes.items() if _travels(name))
    if not 0 < total <= LARGEST:
        raise UserError(f"{handle} must be a run of at most {LARGEST} bytes, it has {total}; name another")
    return _snapshot(handle.repository, revision, local_files_only=False)


def _snapshot(repository: str, revision: str | None, *, local_files_only: bool) -> Path:
    wanted = list(TRAVELS)
    return Path(
        snapshot_download(repository, revision=revision, allow_patterns=wanted, local_files_only=local_files_only)
    )


def verify(run: Run) -> None:
    """Refuses a run any of whose files is not what it was when it was written, before any is used.

    What finds its lungs is checked by `lungs.segmenter.Segmenter.open` against the manifest of its own.

    Raises:
        UserError: Where one is, or is not accounted for.
    """
    remedy = "restore it, or train again"
    if not run.manifest.checksums:
        raise UserError(f"{run.folder} must state the checksum of its model, it does not; {remedy}")
    export = run.export_folder("openvino")
    parity = run.parity("openvino")
    if (run.folder / MODEL).exists():
        files.require_checksums(run.folder, run.manifest.checksums, remedy=remedy)
    elif parity is None:
        raise UserError(f"{run.folder} must hold {MODEL} or {EXPORTS}/openvino, it holds neither; {remedy}")
    if parity is not None:
        strange = {path.name for path in export.iterdir()} - {PARITY, *parity.checksums}
        if strange:
            raise UserError(f"{export} must hold what {PARITY} lists alone, it holds {min(strange)}; {remedy}")
    _ = run.calibration, run.abnormality, run.gate, run.metrics, run.collections  # each is checked as it is read


def push(run: Run, handle: Handle) -> Handle:
    """Pushes a run to the hub, in the place of what may be there, and says what is sent.

    A repository that is not there is made, and is private until its owner makes it public. Of the evaluation the
    figures go, without the names of images.

    Returns:
        The handle with the commit that was made.

    Raises:
        UserError: Where the run has no model card or is damaged, nobody is logged in, or the hub refuses.
    """
    if handle.revision:
        raise UserError(f"a run is pushed to the main branch, received {handle}; leave @{handle.revision} out")
    if not (run.folder / MODEL_CARD).is_file() or run.metrics is None:
        raise UserError(
            f"a run is pushed with its model card and its figures, {run.folder} has none; run python -m "
            f"cxr_keras3.evaluate {run.folder}"
        )
    verify(run)
    if get_token() is None:
        raise UserError("a push needs a login at the hub, this machine has none; run hf auth login, or set HF_TOKEN")
    found = [path for pattern in TRAVELS for path in sorted(run.folder.glob(pattern)) if path.is_file()]
    sent = {path.relative_to(run.folder).as_posix(): path for path in found}
    with tempfile.TemporaryDirectory() as folder:
        sent[f"{EVALUATION}/{METRICS}"] = Path(folder) / METRICS
        nameless = Errors(most_confident=(), copies_answered_differently=(), likely_label_errors=())
        records.write(Path(folder) / METRICS, dataclasses.replace(run.metrics, errors=nameless))
        for name, path in sent.items():
            progress.say(f"sending {name}, {path.stat().st_size} bytes")
        try:
            return dataclasses.replace(handle, revision=_commit(handle.repository, sent, message=f"Run {run.name}"))
        except _REFUSED as error:
            raise UserError(
                f"{handle} must be a repository that the hub lets you write to, it does not ({_said(error)}); check "
                "name, network and the rights of your token"
            ) from error


def _commit(repository: str, sent: dict[str, Path], *, message: str) -> str:
    """Makes one commit of files by their names there; what an earlier push left beside them goes."""
    api = HfApi()
    api.create_repo(repository, private=True, exist_ok=True)
    gone = [name for name in api.list_repo_files(repository) if _travels(name) and name not in sent]
    operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
        *(CommitOperationAdd(name, path) for name, path in sent.items()),
        *map(CommitOperationDelete, gone),
    ]
    return api.create_commit(repository, operations, commit_message=message).oid


def _travels(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in TRAVELS)


def _said(error: Exception) -> str:
    """The first line of an error, whose others repeat the request."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
