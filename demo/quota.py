"""How much all uploads together may take up."""

import asyncio
import contextlib
import os
import time
from pathlib import Path

MAX_UPLOADS_BYTES = 4 * 2**30
"""Of all uploads that are kept at a time."""
RECOUNT_SECONDS = 10.0
"""Between two counts of the folder where it seems to be full: to count takes the longer, the more lie there."""
UPLOAD_FOLDER_VARIABLE = "GRADIO_TEMP_DIR"


class Quota:
    """Counts what is taken, and the folder itself only where that seems to be too much: some may have been deleted."""

    def __init__(self) -> None:
        """Begins with an empty folder, as each server does."""
        self._most = 0
        self._counted = -RECOUNT_SECONDS

    def add(self, size: int) -> None:
        """Notes bytes that have been taken."""
        self._most += size

    async def has_room(self, size: int) -> bool:
        """Whether so many bytes more may be kept."""
        if self._most + size > MAX_UPLOADS_BYTES and time.monotonic() - self._counted >= RECOUNT_SECONDS:
            self._counted = time.monotonic()
            before = self._most
            found = await asyncio.to_thread(_uploaded)
            self._most += found - before  # what has come meanwhile stays counted
        return self._most + size <= MAX_UPLOADS_BYTES


def _uploaded() -> int:
    """Bytes of the uploads that are kept."""
    folder = Path(os.environ.get(UPLOAD_FOLDER_VARIABLE, ""))
    sizes = []
    for path in folder.rglob("*") if folder.is_absolute() else ():
        with contextlib.suppress(OSError):  # it may have gone meanwhile
            sizes.append(path.stat().st_size)
    return sum(sizes)
