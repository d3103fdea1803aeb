"""Templates to HTML: every text is shown as one printable line first, and then escaped as HTML.

Both happen to whatever a template shows, without its asking: names of processes, paths and reasons
are an attacker's. A value that a template expects and that is not there is an error.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cloud.views import moment
from content.escape import safe

FOLDER = Path(__file__).parent
LONGEST_CELL = 600
"""Characters of one text in a page."""


class Shown(str):
    """A text that went through `content.escape.safe`: it is cut, and not escaped again."""

    __slots__ = ()


class Rendering:
    """The templates."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_printable,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["short"] = short
        self._templates.filters["moment"] = moment

    def page(self, template: str, values: Mapping[str, Any]) -> str:
        """The page."""
        return self._templates.get_template(template).render(values)


def printable(text: str) -> str:
    """One printable line of bounded length."""
    if isinstance(text, Shown):
        left = len(text) - LONGEST_CELL
        return f"{text[:LONGEST_CELL]}…(+{left} more)" if left > 0 else str(text)
    return safe(text, LONGEST_CELL)


def short(moment: str) -> str:
    """A time to the second, for people."""
    return moment[: len("2024-07-19T04:09:00")].replace("T", " ")


def _printable(value: Any) -> Any:
    """What a template shows; markup is what drawings and templates have made themselves."""
    if isinstance(value, Markup):
        return value
    return printable(value) if isinstance(value, str) else value
