"""The order in which Windows Explorer lists file names, and the numbers that the database's authors gave by it.

The authors selected RSNA's files of one class in an Explorer window and renamed them at once: Explorer then numbers
the selection in the order shown, beginning at the file that has the focus and going on at the top after the last. So a
file's number is its rank, rotated. How the rotations were found, and 100 of 100 films that agree by their pixels:
`docs/adr/0031-the-order-of-the-file-numbers.md`.
"""

import re
from collections.abc import Iterable

_PARTS = re.compile(r"[0-9]+|[^0-9]")

# First and last rank of a run, and the number that the first of them has; the numbers between follow one by one.
_RUNS = {
    "Lung_Opacity": ((1, 11, 6002), (12, 6012, 1)),
    "Normal": ((1, 3935, 6258), (3936, 3997, 1), (3998, 8851, 1404)),  # 63 to 1403 are Kermany's
}


def explorer_key(name: str) -> tuple[tuple[int, int, int, str], ...]:
    """A sort key that gives Explorer's order.

    Digits that stand together count as one number; of two equal numbers the one with more leading zeros comes first;
    a number comes before a letter; letters are alphabetical. That is Windows' `StrCmpLogicalW`, for names of lower-case
    letters, digits and hyphens.

    >>> sorted(["a10", "a9", "a009", "ab", "9", "10"], key=explorer_key)
    ['9', '10', 'a009', 'a9', 'a10', 'ab']
    """
    return tuple((0, int(part), -len(part), "") if part.isdigit() else (1, 0, 0, part) for part in _PARTS.findall(name))


def numbers(label: str, names: Iterable[str]) -> dict[str, int]:
    """The number in the database of each of RSNA's names of a class.

    Args:
        label: "Lung_Opacity" or "Normal".
        names: RSNA's patientIds: of Lung_Opacity all 6,012, of Normal all 8,851.

    Raises:
        ValueError: Where there are more names or fewer, since every rank depends on all of them.
    """
    ordered = sorted(names, key=explorer_key)
    expected = max(last for _, last, _ in _RUNS[label])
    if len(ordered) != expected:
        raise ValueError(f"{label} must have {expected} names, got {len(ordered)}")
    return {
        name: start + offset
        for first, last, start in _RUNS[label]
        for offset, name in enumerate(ordered[first - 1 : last])
    }
