"""A page of headings, paragraphs, lists and tables, as Markdown or as one HTML file.

Every text may be an attacker's: it becomes one printable line first (content.escape), and then
neither form takes it for markup. The HTML is built as a tree, never by pasting text into text, and
its policy forbids scripts and addresses even so.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as Tree

from content.escape import safe

MARKUP = re.compile(r"([\\`*_\[\]<>#!|&~@]|:(?=//)|(?<=www)\.|^[-+=]|(?<=^\d)[.)](?= ))")
"""What CommonMark or GitHub's dialect takes for markup, or makes a link of."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { border: 1px solid color-mix(in srgb, currentcolor 30%, transparent); padding: .3rem .6rem;
  text-align: left; vertical-align: top; overflow-wrap: anywhere }
caption { text-align: left; font-weight: 600; padding: .3rem 0 }
@media print { body { margin: 0; max-width: none } tr { break-inside: avoid } }
"""


@dataclass(frozen=True, slots=True)
class Heading:
    """Of a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One of several sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Points:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; every row has as many cells as there are columns."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Heading | Paragraph | Points | Grid


@dataclass(frozen=True, slots=True)
class Page:
    """A title and what stands below it."""

    title: str
    blocks: Sequence[Block]


def markdown(page: Page) -> str:
    """CommonMark with tables."""
    parts = [f"# {_marked(page.title)}"]
    for block in page.blocks:
        match block:
            case Heading(text):
                parts.append(f"## {_marked(text)}")
            case Paragraph(text):
                parts.append(_marked(text))
            case Points(items):
                parts.append("\n".join(f"- {_marked(one)}" for one in items))
            case Grid(caption, columns, rows):
                lines = [columns, ["---"] * len(columns), *rows]
                cells = [_row(one, plain=index == 1) for index, one in enumerate(lines)]
                parts.append("\n".join([f"**{_marked(caption)}**", "", *cells]))
    return "\n\n".join(parts) + "\n"


def html(page: Page) -> str:
    """A file that needs nothing else to be read."""
    root = Tree.Element("html", lang="en")
    head = Tree.SubElement(root, "head")
    Tree.SubElement(head, "meta", charset="utf-8")
    Tree.SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": POLICY})
    Tree.SubElement(head, "meta", name="viewport", content="width=device-width")
    _text(head, "title", page.title)
    Tree.SubElement(head, "style").text = STYLE
    body = Tree.SubElement(root, "body")
    _text(body, "h1", page.title)
    for block in page.blocks:
        _append(body, block)
    Tree.indent(root)
    return "<!doctype html>\n" + Tree.tostring(root, encoding="unicode", method="html") + "\n"


def _append(body: Tree.Element, block: Block) -> None:
    match block:
        case Heading(text):
            _text(body, "h2", text)
        case Paragraph(text):
            _text(body, "p", text)
        case Points(items):
            points = Tree.SubElement(body, "ul")
            for one in items:
                _text(points, "li", one)
        case Grid(caption, columns, rows):
            grid = Tree.SubElement(body, "table")
            _text(grid, "caption", caption)
            for name, cells in (("th", columns), *(("td", row) for row in rows)):
                line = Tree.SubElement(grid, "tr")
                for cell in cells:
                    _text(line, name, cell)


def _text(parent: Tree.Element, name: str, text: str) -> None:
    Tree.SubElement(parent, name).text = safe(text)


def _marked(text: str) -> str:
    return MARKUP.sub(r"\\\1", safe(text))


def _row(cells: Sequence[str], *, plain: bool) -> str:
    return f"| {' | '.join(cells if plain else map(_marked, cells))} |"
