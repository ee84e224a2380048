"""Uploaded films: taken from the upload folder and from nowhere else, and deleted when their session ends."""

import threading
from collections.abc import Iterable
from pathlib import Path

from cxr_keras3.base.errors import UserError


class Uploads:
    """Remembers which session sent which file. Safe to use from several threads.

    Gradio files an upload under the hash of its bytes, so two sessions that send the same film share one file; it
    goes when the last of them ends. What outlives its session, such as the files of an API client that never says
    goodbye, Gradio deletes by age (see `demo.server`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._files: dict[str, set[Path]] = {}
        self._lock = threading.Lock()

    def claim(self, session: str | None, files: Iterable[str]) -> list[Path]:
        """Notes that a session uses files, and returns their paths.

        Raises:
            UserError: Where a path does not lead into the upload folder, or the file is there no more. The message
                holds no path.
        """
        paths = [Path(file).resolve() for file in files]
        for path in paths:
            if not path.is_relative_to(self.folder):
                raise UserError("a film must be uploaded, received a path to something else; upload the file")
            if not path.is_file():
                raise UserError("the file has been deleted since it was uploaded; upload it again")
        if session is not None:
            with self._lock:
                self._files.setdefault(session, set()).update(paths)
        return paths

    def forget(self, session: str | None) -> None:
        """Deletes a session's files, and the empty ones that Gradio leaves beside each upload it reads."""
        with self._lock:
            mine = self._files.pop(session or "", set())
            gone = mine.difference(*self._files.values())
            for path in gone:
                path.unlink(missing_ok=True)
        for path in self.folder.glob("tmp*"):
            if path.is_file() and path.stat().st_size == 0:
                path.unlink(missing_ok=True)
