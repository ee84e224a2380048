"""Decodes the files of strangers in processes of their own, each with a limit on memory and on time.

Headers are checked before anything is decoded, and yet the next hole in a codec is only a question of time. A process
that takes too much is ended, and another takes its place: no file can stop anyone else's answer.
"""

import contextlib
import multiprocessing
import os
import queue
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Self, TypeVar

from cxr_keras3.images.decoding import decode
from cxr_keras3.images.film import Film, ImageError, NotAChestFilmError

SECONDS = 20.0
"""That a file may take; the largest film read, 50 million pixels in lossless JPEG 2000, takes some five."""

MEMORY = 2**30
"""Bytes that decoding may take beyond what a process has at its start; Windows and macOS cannot enforce it."""

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class _Refusal:
    message: str
    is_other_image: bool


class Decoders:
    """Processes that decode. Use it as a context manager; any number of threads may share it.

    Together they take at most `count` times `MEMORY`, and some 60 MB each.
    """

    def __init__(self, count: int | None = None) -> None:
        """Starts them.

        Args:
            count: How many; as many as there are cores, up to four, when None.
        """
        self._idle: queue.SimpleQueue[_Decoder] = queue.SimpleQueue()
        self._all = [_Decoder() for _ in range(count or min(4, os.cpu_count() or 1))]
        for decoder in self._all:
            self._idle.put(decoder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for decoder in self._all:
            decoder.stop()

    def decode(self, data: bytes) -> Film:
        """See `images.decode`; waits where all are busy.

        Raises:
            ImageError: Whatever keeps the bytes from becoming a film, too much time or memory among it.
        """
        return self.call(decode, data)

    def call(self, function: Callable[[bytes], _Made], data: bytes) -> _Made:
        """What a function makes of the bytes of a stranger's file; waits where all are busy.

        Args:
            function: One that can be pickled.
            data: The bytes.

        Raises:
            ImageError: As the function, or where it takes too much time or memory.
        """
        decoder = self._idle.get()
        try:
            return decoder.call(function, data)
        finally:
            self._idle.put(decoder)


class _Decoder:
    """One process, and its replacement once it had to be ended."""

    def __init__(self) -> None:
        self._process: BaseProcess
        self._pipe: Connection
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy the server's threads and locks
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def call(self, function: Callable[[bytes], _Made], data: bytes) -> _Made:
        answer: _Made | _Refusal | None = None
        ended = "cannot be decoded in the memory that a film needs"
        try:
            self._pipe.send((function, data))
            if self._pipe.poll(SECONDS):
                (answer,) = self._pipe.recv()
            else:
                ended = f"takes longer than {SECONDS:.0f} seconds to decode"
        except (EOFError, OSError):  # it has ended
            pass
        if answer is None:
            self.stop()
            self._start()
            raise ImageError(f"the image file {ended}: save it again")
        if isinstance(answer, _Refusal):
            raise (NotAChestFilmError if answer.is_other_image else ImageError)(answer.message)
        return answer

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _work(pipe: Connection) -> None:
    """Answers until the other end is closed."""
    _limit_memory()
    with contextlib.suppress(EOFError, KeyboardInterrupt):  # Ctrl-C reaches every process of the terminal
        while True:
            function, data = pipe.recv()
            try:
                answer = function(data)
            except ImageError as error:
                answer = _Refusal(str(error), isinstance(error, NotAChestFilmError))
            pipe.send((answer,))


def _limit_memory() -> None:
    try:
        import resource  # noqa: PLC0415 -- Windows has none
    except ImportError:
        return
    with contextlib.suppress(OSError, ValueError):  # macOS refuses the limit, and has no /proc
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 -- no file of ours
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
