"""The one exception that stands for a user's mistake, and how a command ends on it."""

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

USER_ERROR_EXIT_CODE = 2
SOME_FILES_REFUSED_EXIT_CODE = 3
INTERRUPTED_EXIT_CODE = 130


class UserError(Exception):
    """Something the user can put right.

    The message is one line that states the rule, the value received and the remedy. Commands
    print it without a traceback and exit with code 2; any other exception is a defect of ours
    and keeps its traceback.
    """


def run_command(main: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command's `main` and exits the process with its exit code.

    Args:
        main: Takes the command-line arguments without the program's name, returns an exit code.
        arguments: The arguments; `sys.argv[1:]` when None.
    """
    try:
        code = main(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        code = USER_ERROR_EXIT_CODE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = INTERRUPTED_EXIT_CODE
    sys.exit(code)
