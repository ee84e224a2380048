"""How far readers agree who labelled the same films."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from demo.feedback import ReaderAnswer


@dataclass(frozen=True)
class Agreement:
    """How far two readers agree.

    Attributes:
        readers: Their names.
        films: How many films both labelled.
        kappa: Cohen's kappa (Cohen, 1960): 1 for full agreement, 0 for what chance alone gives; None where
            both gave one and the same label throughout.
    """

    readers: tuple[str, str]
    films: int
    kappa: float | None


def agreements(answers: Sequence[ReaderAnswer]) -> list[Agreement]:
    """Each two readers who labelled the same films, the most films first."""
    from sklearn.metrics import cohen_kappa_score  # noqa: PLC0415 -- takes a second, and the page is not always opened

    by_reader: dict[str, dict[str, str]] = {}
    for answer in answers:
        if answer.reader:
            by_reader.setdefault(answer.reader, {})[answer.sha256] = answer.label
    found = []
    for first, second in itertools.combinations(sorted(by_reader), 2):
        both = sorted(by_reader[first].keys() & by_reader[second].keys())
        said = [[by_reader[reader][digest] for digest in both] for reader in (first, second)]
        if both:
            kappa = float(cohen_kappa_score(*said)) if len({*said[0], *said[1]}) > 1 else None
            found.append(Agreement((first, second), len(both), kappa))
    return sorted(found, key=lambda each: -each.films)
