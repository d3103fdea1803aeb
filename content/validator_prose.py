"""Check 8 of the Content Validator: what people read of an instance.

Prose is neither blank nor over its limit; what is one line has no control characters. The checks
are numbered in `content.validator`, which calls these.
"""

from content.limits import LIMITS
from content.model import TemplateInstance
from content.problems import Reporter
from content.reasons import Reason


def origin(report: Reporter, instance: TemplateInstance, place: str) -> None:
    """Whose work an instance is and where it comes from: lines, where they are given."""
    named = (
        (instance.author, "author"),
        (instance.license, "license"),
        (instance.source, "source"),
    )
    for text, name in named:
        if text:
            line(report, text, f"{place}.{name}", LIMITS.prose_characters)
    limit = LIMITS.references_per_instance
    report.count(f"{place}.references", len(instance.references), limit)
    for index, one in enumerate(instance.references[:limit]):
        line(report, one, f"{place}.references[{index}]", LIMITS.prose_characters)


def line(report: Reporter, text: str, place: str, limit: int = LIMITS.title_characters) -> None:
    """One line of text; `limit` in characters."""
    if not text.isprintable():
        expected = "one line without control characters"
        report(Reason.VALUE_OUT_OF_RANGE, place, text, expected)
    prose(report, text, place, limit)


def prose(report: Reporter, text: str, place: str, limit: int = LIMITS.prose_characters) -> None:
    """Text of any number of lines; `limit` in characters."""
    if not text.strip():
        report(Reason.BLANK_VALUE, place, "blank text", "text")
    report.count(place, len(text), limit)
