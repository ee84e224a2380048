"""How far readers agree who labelled the same films."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from demo.answers import ReaderAnswer


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
    by_reader: dict[str, dict[str, str]] = {}
    for answer in answers:
        if answer.reader:
            by_reader.setdefault(answer.reader, {})[answer.sha256] = answer.label
    found = []
    for first, second in itertools.combinations(sorted(by_reader), 2):
        both = sorted(by_reader[first].keys() & by_reader[second].keys())
        said = [[by_reader[reader][digest] for digest in both] for reader in (first, second)]
        if both:
            found.append(Agreement((first, second), len(both), _kappa(*said)))
    return sorted(found, key=lambda each: -each.films)


def _kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """See `Agreement.kappa`; scikit-learn's takes a second to import, and serving needs nothing else of it."""
    count, shares = len(first), (Counter(first), Counter(second))
    observed = sum(one == other for one, other in zip(first, second, strict=True)) / count
    expected = sum(shares[0][label] * shares[1][label] for label in shares[0]) / count**2
    return None if expected == 1 else (observed - expected) / (1 - expected)
