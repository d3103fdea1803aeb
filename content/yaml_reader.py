"""Read YAML strictly into a tree that knows line and column of everything.

`read` promises: one document of mappings, sequences and scalars; no directives, anchors, aliases,
tags or merge keys; no key twice in one mapping; bytes, depth and number of nodes within
`content.limits`. Scalars stay text, exactly as written: what `no`, `012` or `12:30` should mean is
decided by whoever asks for a type (`content.yaml_form`), never guessed here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, cast

import yaml
from yaml.error import Mark, MarkedYAMLError, YAMLError
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from content.escape import safe
from content.limits import LIMITS
from content.problems import SHOWN_CHARACTERS, ContentError, Problem
from content.reasons import Reason

_UNSEEN = re.compile(r"[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|(?!\A)\ufeff")
"""What YAML has no place for; a byte order mark only where a file begins."""

_DIRECTIVE = re.compile("(?:\\A|[\n\r\x85\u2028\u2029])\ufeff*%")
"""A line of one; its end is whatever some version of YAML takes for an end."""

_PLAIN_YAML = "plain YAML without directives, anchors, aliases and tags"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar as written; `plain` where it stood without quotes. Line and column from 1."""

    text: str
    plain: bool
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list, in block or flow style."""

    items: "tuple[Node, ...]"
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class MappingNode:
    """A mapping in the order of the file; no key occurs twice."""

    entries: "tuple[tuple[Scalar, Node], ...]"
    line: int
    column: int


_TYPE_NAMES = {Scalar: "a scalar", SequenceNode: "a list", MappingNode: "a mapping"}
Node = Scalar | SequenceNode | MappingNode


def read_file(path: Path) -> Node:
    """The tree of a file; ContentError names the file, OSError passes through."""
    with path.open("rb") as file:
        data = file.read(LIMITS.yaml_bytes + 1)
    return read(data, str(path))


def read(data: bytes, file: str) -> Node:
    """The tree of one YAML document; `file` is what problems call it."""
    return _Builder(file).read(data)


class _Builder:
    """Turns the parser's events into nodes, refusing at the first thing that is not allowed."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._nodes = 0

    def read(self, data: bytes) -> Node:
        text = self._decode(data)
        try:
            return self._document(yaml.parse(text, Loader=yaml.CSafeLoader))
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
            found = f"damaged YAML ({error.problem})"
            self._refuse(Reason.NOT_YAML, line, column, found)
        except YAMLError as error:
            self._refuse(Reason.NOT_YAML, 0, 0, str(error).splitlines()[0])

    def _decode(self, data: bytes) -> str:
        if len(data) > LIMITS.yaml_bytes:
            self._refuse(
                Reason.FILE_TOO_LARGE, 0, 0, "more bytes", f"at most {LIMITS.yaml_bytes} bytes"
            )
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
            self._refuse(Reason.NOT_YAML, line, column, f"byte 0x{data[error.start]:02x}", "UTF-8")
        if unseen := _UNSEEN.search(text):
            before = text[: unseen.start()]
            line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
            found = f"character U+{ord(unseen[0]):04X}"
            self._refuse(Reason.NOT_YAML, line, column, found, "characters that can be seen")
        # Before it is parsed: the parser would take some of them, and warn of others.
        if directive := _DIRECTIVE.search(text):
            line = text.count("\n", 0, directive.end()) + 1
            self._refuse(Reason.YAML_NOT_PLAIN, line, 1, "a directive (%)", _PLAIN_YAML)
        return text

    def _document(self, events: Iterator[Event]) -> Node:
        node: Node | None = None
        for event in events:
            if isinstance(event, NodeEvent):
                node = self._node(event, events, 0)
            elif isinstance(event, DocumentStartEvent) and node is not None:
                self._refuse_at(event, Reason.NOT_YAML, "a second document", "one document")
            elif not isinstance(
                event, (StreamStartEvent, StreamEndEvent, DocumentStartEvent, DocumentEndEvent)
            ):
                raise AssertionError(f"event out of place: {event}")
        if node is None:
            self._refuse(Reason.EMPTY_FILE, 1, 1, "nothing", "a YAML document")
        return node

    def _node(self, event: Event, events: Iterator[Event], depth: int) -> Node:
        self._check(event, depth)
        line, column = _place(event)
        if isinstance(event, ScalarEvent):
            return Scalar(event.value, not event.style, line, column)
        if isinstance(event, SequenceStartEvent):
            return SequenceNode(self._items(events, depth + 1), line, column)
        return MappingNode(self._entries(events, depth + 1), line, column)

    def _items(self, events: Iterator[Event], depth: int) -> tuple[Node, ...]:
        items = []
        while not isinstance(event := next(events), SequenceEndEvent):
            items.append(self._node(event, events, depth))
        return tuple(items)

    def _entries(self, events: Iterator[Event], depth: int) -> tuple[tuple[Scalar, Node], ...]:
        entries: dict[str, tuple[Scalar, Node]] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key = self._node(event, events, depth)
            if not isinstance(key, Scalar):
                self._refuse_at(
                    event, Reason.NOT_YAML, f"{_TYPE_NAMES[type(key)]} as key", "a name"
                )
            if key.text in entries:
                first = entries[key.text][0].line
                found = f"{key.text!r:.80} again (first on line {first})"
                self._refuse_at(event, Reason.DUPLICATE_KEY, found, "each key once")
            value = self._node(next(events), events, depth)
            if isinstance(value, Scalar) and value.plain and not value.text:
                value = replace(value, line=key.line, column=key.column)  # it stands nowhere
            entries[key.text] = (key, value)
        return tuple(entries.values())

    def _check(self, event: Event, depth: int) -> None:
        self._nodes += 1
        if depth > LIMITS.yaml_depth:
            most = f"at most {LIMITS.yaml_depth} levels"
            self._refuse_at(event, Reason.LIMIT_EXCEEDED, "deeper nesting", most)
        if self._nodes > LIMITS.yaml_nodes:
            most = f"at most {LIMITS.yaml_nodes} nodes"
            self._refuse_at(event, Reason.LIMIT_EXCEEDED, "more nodes", most)
        for feature in ("anchor", "tag"):  # an alias has the anchor that it means
            if name := getattr(event, feature, None):
                self._refuse_at(event, Reason.YAML_NOT_PLAIN, f"{feature} {name}", _PLAIN_YAML)

    def _refuse_at(self, event: Event, reason: Reason, found: str, expected: str) -> NoReturn:
        self._refuse(reason, *_place(event), found, expected)

    def _refuse(
        self, reason: Reason, line: int, column: int, found: str, expected: str = "valid YAML"
    ) -> NoReturn:
        found = safe(found, SHOWN_CHARACTERS)
        raise ContentError([Problem(reason, "file", found, expected, self._file, line, column)])


def _place(event: Event) -> tuple[int, int]:
    mark = cast("Mark", event.start_mark)  # there always, but the types don't say so
    return mark.line + 1, mark.column + 1
