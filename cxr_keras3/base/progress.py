"""Progress bars with rate and time left, on standard error, as every long-running command shows them."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Item = TypeVar("Item")

console = Console(stderr=True)


class _Rate(ProgressColumn):
    """How many a second, lately."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:.3g}/s")


def bar() -> Progress:
    """A progress bar for use as a context manager; add tasks to it."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def track(items: Sequence[Item], *, description: str) -> Iterator[Item]:
    """Iterates over items with a progress bar."""
    with bar() as shown:
        yield from shown.track(items, description=description)


def say(message: str) -> None:
    """Prints a line about what is going on, on standard error, above any bar."""
    console.print(message, highlight=False, markup=False, soft_wrap=True)
