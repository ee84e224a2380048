"""The one exception that stands for a user's mistake, and how a command ends on it."""

import errno
import io
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

USER_ERROR_EXIT_CODE = 2
SOME_FILES_REFUSED_EXIT_CODE = 3
INTERRUPTED_EXIT_CODE = 130
_LONGEST = 2000


class UserError(Exception):
    """Something the user can put right.

    The message is one line that states the rule, the value received and the remedy. Commands
    print it without a traceback and exit with code 2; any other exception is a defect of ours
    and keeps its traceback.
    """

    def __init__(self, message: str) -> None:
        # What a file holds may be quoted in it, at any length.
        line = " ".join(message.splitlines())
        super().__init__(line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …")


_PLACES = {
    errno.ENAMETOOLONG: "its name is too long",
    errno.ENOTDIR: "a part of it is no folder",
    errno.EEXIST: "a file is in its place",
    errno.EISDIR: "it is a folder",
    errno.EACCES: "access is not allowed",
    errno.EPERM: "that is not allowed",
    errno.EROFS: "it can only be read",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
}
"""What a user can put right about a file or folder, by the system's number of the error."""


def run_command(main: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command's `main` and exits the process with its exit code.

    Args:
        main: Takes the command-line arguments without the program's name, returns an exit code.
        arguments: The arguments; `sys.argv[1:]` when None.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's encoding lacks must not end the command
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        code = _said(str(error))
    except OSError as error:
        if error.errno not in _PLACES:
            raise
        name = f"{error.filename!s:.200}" if error.filename is not None else "the place written to"
        code = _said(f"{name} must be a place that can be used ({_PLACES[error.errno]}); name another, or make room")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = INTERRUPTED_EXIT_CODE
    sys.exit(code)


def _said(message: str) -> int:
    """Says a mistake in one line, and gives its exit code."""
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return USER_ERROR_EXIT_CODE
