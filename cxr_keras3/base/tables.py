"""Tables for spreadsheets: text that is no formula."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(value: object) -> object:
    """A value that no spreadsheet takes for a formula (OWASP, "CSV Injection"): a text like one gets an apostrophe.

    >>> harmless("=1+1"), harmless("film.png"), harmless(-1.5)
    ("'=1+1", 'film.png', -1.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def original(text: str) -> str:
    """What `harmless` was given."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text
