"""What the page's scripts may ask, checked by pydantic: anyone may send anything."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Name = Annotated[str, Field(max_length=1000)]


class Sent(BaseModel):
    """An uploaded file: where it lies, and what its sender calls it, since Gradio drops letters of names."""

    kind: Literal["upload"] = "upload"
    path: str
    name: Name


class Example(BaseModel):
    """An example, by its number."""

    kind: Literal["example"]
    index: Annotated[int, Field(ge=0)]


class Listed(BaseModel):
    """A film of a worklist, by its number."""

    kind: Literal["listed"]
    job: str
    index: Annotated[int, Field(ge=0)]


class Film(BaseModel):
    """A film that the page asks about."""

    film: Annotated[Sent | Example | Listed, Field(discriminator="kind")]


class Films(BaseModel):
    """Files for a worklist; `job` is the one to add them to."""

    files: Annotated[list[Sent], Field(max_length=1000)]
    job: str | None = None


class Place(BaseModel):
    """A worklist, and how many of its rows the page has."""

    job: str
    after: int = 0


class Chosen(BaseModel):
    """Rows of a worklist."""

    job: str
    indices: list[int]


class Said(Film):
    """What a reader says of a film."""

    sha256: str
    predicted: str
    label: str
    reader: str
    comment: str = ""
    keep: bool = False


class Answered(BaseModel):
    """A reader's answer to a film."""

    sha256: str
    reader: str


class Numbered(BaseModel):
    """One of the runs."""

    index: Annotated[int, Field(ge=0, le=1)]
