"""What the documentation draws from the code itself: the commands, the presets and the backbones.

Also refuses a page that would load anything from elsewhere, so that the built site works without a network.
"""

import argparse
import dataclasses
import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from simple_parsing.docstring import get_attribute_docstring
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

from cxr_keras3.model.backbone_table import BACKBONES
from cxr_keras3.pacs import conformance
from cxr_keras3.training.presets import PRESETS
from docs import commands, rooms

REMOTE_ASSET = re.compile(rb"""<(?:script|img|iframe|source|link(?![^>]*rel="?(?:canonical|license)))[^>]*"""
                          rb"""\b(?:src|href)=["']?(?:https?:)?//""")  # fmt: skip


class Commands(Directive):
    """A section for each command: usage, description, options."""

    def run(self) -> list[nodes.Node]:
        """Builds the sections."""
        return [_command_section(name, self.state.document) for name in commands.names()]


def _command_section(name: str, document: nodes.document) -> nodes.section:
    parser = commands.parser_of(name)
    parser.format_help()  # simple-parsing adds the options of its dataclasses when it is first asked for them
    section = nodes.section(ids=[name.replace(".", "-").replace("_", "-")])
    section += nodes.title("", "", nodes.literal("", f"python -m {name}"))
    document.note_explicit_target(section)
    for part in re.split(r"\n\s*\n", (parser.description or "").strip()):
        section += _description(part)
    section += _options(parser)
    for action in parser._actions:  # noqa: SLF001 -- argparse has no public way to list options
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for choice in action._choices_actions:  # noqa: SLF001 -- name and help of each
                section += nodes.paragraph("", "", nodes.strong("", choice.dest), nodes.Text(f": {choice.help}"))
                section += _options(action.choices[choice.dest])
    return section


def _options(parser: argparse.ArgumentParser) -> list[nodes.Element]:
    """A list of options for each of a parser's groups."""
    found: list[nodes.Element] = []
    for group in parser._action_groups:  # noqa: SLF001 -- see above
        hidden = (argparse._HelpAction, argparse._SubParsersAction)  # noqa: SLF001
        actions = [action for action in group._group_actions if not isinstance(action, hidden)]  # noqa: SLF001
        if actions:
            generated = (group.title or "").endswith("']")  # simple-parsing's: the name of a class
            title = group.description if generated else (group.title or "").removeprefix("positional ").capitalize()
            found.append(nodes.rubric("", "", *_prose((title or "").split(". ")[0].rstrip("."))))
            found.append(nodes.definition_list("", *(_item(_signature(action), _help(action)) for action in actions)))
    return found


def _description(part: str) -> nodes.Element:
    """A paragraph; what is set in, and what follows "Example: ", is a command."""
    example = part.strip().removeprefix("Example: ")
    if part.startswith("  ") or example != part.strip():
        lines = "\n".join(re.sub(r"(\S.*?)\s{2,}(.+)", r"# \2\n\1", line.strip()) for line in example.splitlines())
        return nodes.literal_block(lines, lines, language="sh")
    return nodes.paragraph("", "", *_prose(part))


def _signature(action: argparse.Action) -> str:
    names = ", ".join(name for name in action.option_strings if not name.startswith("--no"))
    if action.choices:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    else:
        kind = action.dest if not action.option_strings else getattr(action.type, "__name__", action.dest)
        value = "" if action.nargs == 0 else str(action.metavar or kind).strip("[]").upper()
    return f"{names} {value}".strip() + (" …" if action.nargs == "+" else "")


def _help(action: argparse.Action) -> str:
    text = (action.help or "").rstrip(". ")
    if action.required and action.option_strings:
        text = f"{text}. Required".removeprefix(". ")
    elif action.nargs != 0 and action.default not in (None, "", argparse.SUPPRESS) and "default:" not in text:
        text = f"{text}. Default: {action.default}"
    return f"{text[:1].upper()}{text[1:]}."


def _prose(text: str) -> list[nodes.Node]:
    """Text with flags, and what stands between backticks, set as code."""
    parts = re.split(r"(--[a-z][\w-]*|`[^`]+`)", text)
    return [nodes.literal("", part.strip("`")) if part[:1] in "-`" else nodes.Text(part) for part in parts if part]


def _item(term: str, text: str) -> nodes.definition_list_item:
    definition = nodes.definition("", nodes.paragraph("", "", *_prose(text)))
    return nodes.definition_list_item("", nodes.term("", "", nodes.literal("", term)), definition)


class Fields(Directive):
    """The fields of a dataclass, named as an argument: type, default, meaning."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Builds the list."""
        module, _, name = self.arguments[0].rpartition(".")
        record = getattr(importlib.import_module(module), name)
        return [nodes.definition_list("", *(_field(record, field) for field in dataclasses.fields(record)))]


def _field(record: type, field: dataclasses.Field[object]) -> nodes.definition_list_item:
    found = get_attribute_docstring(record, field.name)
    text = " ".join((found.docstring_below or found.desc_from_cls_docstring).split())
    if not text:
        raise RuntimeError(f"{record.__qualname__}.{field.name} has no docstring")
    if field.default is not dataclasses.MISSING:
        text = f"{text} Default: `{field.default!r}`."
    kind = re.sub(r"ndarray\[.*dtype\[(\w+)\]+", r"array of \1", stringify_annotation(field.type, "smart"))
    item = _item(field.name, text)
    kind = re.sub(r"Literal\[(.*)\]", lambda found: found[1].replace(", ", " | "), kind)
    item[0] += nodes.inline("", " " + re.sub(r"~?\w+\.|~", "", kind), classes=["kind"])
    return item


class Presets(Directive):
    """The presets with their notes."""

    def run(self) -> list[nodes.Node]:
        """Builds the list."""
        return [nodes.definition_list("", *(_item(f"--preset {name}", p.note) for name, p in PRESETS.items()))]


class Backbones(Directive):
    """The table of backbones."""

    def run(self) -> list[nodes.Node]:
        """Builds the table."""
        rows = [
            (name, row.provider, f"{row.parameters:,}", row.input_range, row.weights_licence)
            for name, row in BACKBONES.items()
        ]
        return [_table(("backbone", "provider", "parameters", "input of the weights", "their licence"), rows)]


class Rooms(Directive):
    """The rooms of the code, floor by floor, from the import contract."""

    def run(self) -> list[nodes.Node]:
        """Builds the table."""
        rows = [("demo", rooms.words("demo")), *((name, rooms.summary(name)) for f in rooms.floors() for name in f)]
        rows.append(
            ("tfds_cxr", f"{rooms.words('tfds_cxr')} Beside the others: it imports base, images and backend alone.")
        )
        return [_table(("room", "what is in it"), rows)]


class Conformance(Directive):
    """A table of the DICOM conformance statement, named as an argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Builds the table."""
        return [_table(*conformance.TABLES[self.arguments[0]]())]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    group += nodes.thead("", _row(head, literal=False))
    group += nodes.tbody("", *(_row(row, literal=True) for row in rows))
    return nodes.table("", group, classes=["backbones"])


def _row(cells: Sequence[str], *, literal: bool) -> nodes.row:
    texts = [
        nodes.literal("", cell) if literal and index == 0 else nodes.Text(cell) for index, cell in enumerate(cells)
    ]
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", text)) for text in texts))


def set_flags_as_code(*arguments: object) -> None:
    """Puts the flags that a docstring names between backticks, lest their hyphens become a dash."""
    *_, lines = arguments
    assert isinstance(lines, list)  # noqa: S101 -- what Sphinx promises
    lines[:] = [
        re.sub(r"(`+[^`]*`+)|(--[a-z][\w-]*)", lambda found: found[1] or f"``{found[2]}``", line) for line in lines
    ]


def refuse_remote_assets(app: Sphinx, error: Exception | None) -> None:
    """Ends the build where a page would load a script, style, font or picture from elsewhere.

    Raises:
        RuntimeError: Naming the pages.
    """
    if error is None and (found := sorted(str(page) for page in _pages_with_remote_assets(Path(app.outdir)))):
        raise RuntimeError(f"pages must not load anything from elsewhere, these do: {', '.join(found)}")


def _pages_with_remote_assets(site: Path) -> Iterator[Path]:
    for page in site.rglob("*.html"):
        if REMOTE_ASSET.search(page.read_bytes()):
            yield page
    for style in site.rglob("*.css"):
        if re.search(rb"""url\(["']?(?:https?:)?//|@import\s+["'](?:https?:)?//""", style.read_bytes()):
            yield style


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers all of it with Sphinx."""
    for directive in (Commands, Fields, Presets, Backbones, Rooms, Conformance):
        app.add_directive(directive.__name__.lower(), directive)
    app.connect("autodoc-process-docstring", set_flags_as_code)
    app.connect("build-finished", refuse_remote_assets)
    return {"parallel_read_safe": True}
