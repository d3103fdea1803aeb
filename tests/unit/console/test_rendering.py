"""Whatever a template shows is one printable line, and never markup."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup

from cloud.console.feed import event
from cloud.console.rendering import FOLDER, LONGEST_CELL, Rendering, Shown, printable

HOSTILE = "</h1><script>alert(1)</script>\"' onload=x\x1b[31m\n\u202e"
COMMON = {"operator": None, "form_token": "", "note": ""}


def page(reason: str, message: str) -> str:
    """A page that shows both."""
    values = {**COMMON, "reason": reason, "message": message}
    return Rendering().page("error.html", values)


def test_texts_are_escaped_without_a_template_s_asking() -> None:
    """One place that is forgotten would be enough."""
    text = page(HOSTILE, HOSTILE)
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39; onload=x\\x1b[31m\\x0a") == 3


def test_no_template_takes_anything_for_markup() -> None:
    """A filter would undo what the console promises."""
    for template in (FOLDER / "templates").glob("*.html"):
        text = template.read_text(encoding="utf-8")
        assert "|safe" not in text.replace(" ", "")
        assert "autoescape" not in text
        assert "style=" not in text
        assert not re.search(r"\son[a-z]+=", text)


def test_a_value_that_is_missing_is_an_error() -> None:
    """A page would show nothing where there is something."""
    with pytest.raises(UndefinedError):
        Rendering().page("error.html", COMMON)


def test_what_was_escaped_is_not_escaped_again_and_all_is_bounded() -> None:
    """A path would be unreadable, or fill the page."""
    assert printable(Shown("a\\x0ab")) == "a\\x0ab"
    assert printable("a\nb") == "a\\x0ab"
    assert len(printable("x" * 10_000)) < LONGEST_CELL + 30
    assert len(printable(Shown("x" * 10_000))) < LONGEST_CELL + 30
    assert "<b>" not in page("r", Shown("<b>"))
    assert "<b>" in page("r", Markup("<b>"))


@given(st.text(max_size=50))
def test_an_event_is_one_line_of_ascii_whatever_is_in_it(text: str) -> None:
    """A name with a line feed in it would be an event of its own."""
    sent = event("detection", 7, {"process": text, "number": 7}).decode("ascii")
    head, kind, data, *rest = sent.split("\n")
    assert (head, kind, rest) == ("id: 7", "event: detection", ["", ""])
    assert json.loads(data.removeprefix("data: "))["number"] == 7
