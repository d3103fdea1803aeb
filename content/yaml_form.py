"""Typed access to a YAML tree, collecting every problem with its file, line and column.

`Form` is asked for the type that a place must have. It never guesses: a scalar without quotes
that any version of YAML takes for a number, a truth value, nothing, a time or a date is not text
(`no`, `012`, `12:30`, `1.10`, `~`), and only decimal, 0x and 0o are numbers. What is refused comes
back as None and is in `problems`.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from content.escape import safe
from content.limits import LIMITS
from content.problems import SHOWN_CHARACTERS, Problem
from content.reasons import Reason
from content.yaml_reader import MappingNode, Node, Scalar, SequenceNode

_NOT_TEXT = re.compile(
    r"""
      | ~ | null | y | n | yes | no | on | off | true | false      # nothing, and truth values
      | [-+]? [0-9_]+ (\.[0-9_]*)? (e[-+]?[0-9_]+)?                 # 12, 012, 1_000, 1.10, 1e3
      | [-+]? \.[0-9_]+ (e[-+]?[0-9_]+)? | [-+]? \.inf | \.nan      # .5, .inf
      | [-+]? 0x[0-9a-f_]+ | [-+]? 0o?[0-7_]+ | [-+]? 0b[01_]+     # 0x1f, 0o17, 0b1
      | [-+]? [0-9][0-9_]* (:[0-5]?[0-9])+ (\.[0-9_]*)?            # 12:30, base 60 in YAML 1.1
      | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2} ([t\ ].*)?                  # dates and times
      | = | <<
    """,
    re.VERBOSE | re.IGNORECASE,
)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+")
_INTEGER_CHARACTERS = 24


def is_ambiguous(text: str) -> bool:
    """Whether some YAML reader takes this unquoted scalar for something else than text."""
    return _NOT_TEXT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; line and column count from 1."""

    line: int
    column: int


class Form:
    """The problems of one file, found while asking for typed values.

    marks: where everything that was asked for stands, by place.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.marks: dict[str, Mark] = {}

    def problem(self, reason: Reason, node: Node, place: str, found: str, expected: str) -> None:
        """Add a problem at a node; found is cut and escaped here."""
        if len(self.problems) < LIMITS.problems:
            found = safe(found, SHOWN_CHARACTERS)
            self.problems.append(
                Problem(reason, place, found, expected, self.file, node.line, node.column)
            )

    def mapping(
        self, node: Node, place: str, required: Collection[str], optional: Collection[str] = ()
    ) -> dict[str, Node] | None:
        """The values by key: all required ones, no unknown ones; None where one is missing."""
        self.marks[place] = Mark(node.line, node.column)
        if not isinstance(node, MappingNode):
            self._wrong(node, place, f"a mapping with {', '.join(required)}")
            return None
        known = [*required, *optional]
        found: dict[str, Node] = {}
        for key, value in node.entries:
            if key.text in known:
                found[key.text] = value
            else:
                self.problem(Reason.UNKNOWN_KEY, key, place, key.text, f"one of {', '.join(known)}")
        missing = [name for name in required if name not in found]
        for name in missing:
            self.problem(Reason.MISSING_KEY, node, place, f"no {name}", f"the key {name}")
        return None if missing else found

    def sequence(self, node: Node, place: str) -> tuple[Node, ...] | None:
        """The items of a list."""
        self.marks[place] = Mark(node.line, node.column)
        if isinstance(node, SequenceNode):
            return node.items
        self._wrong(node, place, "a list")
        return None

    def text(self, node: Node, place: str) -> str | None:
        """Text, exactly as written; it has to be quoted where YAML could read something else."""
        self.marks[place] = Mark(node.line, node.column)
        if isinstance(node, Scalar) and not (node.plain and is_ambiguous(node.text)):
            return node.text
        quoted = f'"{node.text}"' if isinstance(node, Scalar) else ""
        self._wrong(
            node, place, f"text, in quotes: {safe(quoted, SHOWN_CHARACTERS)}" if quoted else "text"
        )
        return None

    def texts(self, node: Node, place: str) -> tuple[str, ...] | None:
        """A list of texts."""
        items = self.sequence(node, place)
        if items is None:
            return None
        found = [self.text(item, f"{place}[{number}]") for number, item in enumerate(items)]
        return None if None in found else tuple(text for text in found if text is not None)

    def integer(self, node: Node, place: str) -> int | None:
        """A whole number: decimal, 0x or 0o."""
        self.marks[place] = Mark(node.line, node.column)
        if (
            isinstance(node, Scalar)
            and node.plain
            and len(node.text) <= _INTEGER_CHARACTERS
            and _INTEGER.fullmatch(node.text)
        ):
            return int(node.text, 0)
        self._wrong(node, place, "a whole number (decimal, 0x1f or 0o17)")
        return None

    def boolean(self, node: Node, place: str) -> bool | None:
        """`true` or `false`, nothing else."""
        self.marks[place] = Mark(node.line, node.column)
        if isinstance(node, Scalar) and node.plain and node.text in ("true", "false"):
            return node.text == "true"
        self._wrong(node, place, "true or false")
        return None

    def _wrong(self, node: Node, place: str, expected: str) -> None:
        self.problem(Reason.WRONG_TYPE, node, place, describe(node), expected)


def describe(node: Node) -> str:
    """What stands there, in words."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if node.text == "":
        return "nothing"
    if node.plain and is_ambiguous(node.text):
        return f"{node.text} without quotes"
    return node.text
