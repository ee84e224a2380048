"""Work on all cores, in order and a bounded number of items ahead of whoever uses the results."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int) -> Iterator[Result]:
    """Like `map`, by a thread a core.

    Args:
        function: What is done; worth threads where it leaves Python, as decoding and resampling do.
        items: May be endless.
        ahead: How many items are worked on before the first result is asked for, which bounds the memory.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:  # whoever asked has had enough
                future.cancel()
