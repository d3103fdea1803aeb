"""Typed reading of a JSON document that somebody may have edited, or another version written.

Whatever is missing or of another kind raises a ResultsError that names file and place.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from content.escape import safe
from lab.results.errors import ResultsError, ResultsReason

SCHEMA = "schema"
"""The key under which every file of results says its version."""

SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object of a file; place is where in it, as in "measured."."""

    file: str
    values: Mapping[str, Any]
    place: str = ""

    def text(self, name: str) -> str:
        """A string."""
        value = self._value(name)
        return value if isinstance(value, str) else self._wrong(name, "text")

    def count(self, name: str) -> int:
        """An integer of 0 or more."""
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self._wrong(name, "an integer >= 0")
        return int(value)

    def count_or_none(self, name: str) -> int | None:
        """The same, or null."""
        return None if self._value(name) is None else self.count(name)

    def seconds(self, name: str) -> float:
        """A number of 0 or more."""
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            self._wrong(name, "seconds >= 0")
        return float(value)

    def seconds_or_none(self, name: str) -> float | None:
        """The same, or null."""
        return None if self._value(name) is None else self.seconds(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self._value(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self._wrong(name, "a list of texts")
        return tuple(value)

    def named_texts(self, name: str) -> dict[str, str]:
        """An object whose values are strings."""
        within = self.within(name)
        return {key: within.text(key) for key in within.values}

    def within(self, name: str) -> "Fields":
        """An object in this one."""
        value = self._value(name)
        if not isinstance(value, dict):
            self._wrong(name, "an object")
        return Fields(self.file, value, f"{self.place}{name}.")

    def each(self, name: str) -> "list[Fields]":
        """A list of objects in this one."""
        value = self._value(name)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self._wrong(name, "a list of objects")
        return [
            Fields(self.file, one, f"{self.place}{name}[{at}].") for at, one in enumerate(value)
        ]

    def wrong(self, name: str, expected: str) -> ResultsError:
        """The error for a value that is none of those expected."""
        found = safe(repr(self.values.get(name, "nothing")), SHOWN_CHARACTERS)
        detail = f"{self.place}{name} is {found}, expected {expected}"
        return ResultsError(ResultsReason.FIELD, self.file, detail)

    def _value(self, name: str) -> Any:
        if name not in self.values:
            raise self.wrong(name, "a value")
        return self.values[name]

    def _wrong(self, name: str, expected: str) -> Any:
        raise self.wrong(name, expected)


def parse(text: str, file: str, version: int) -> Fields:
    """The object that a file holds, if it was written in this version."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ResultsError(ResultsReason.UNREADABLE, file, f"no JSON: {error}") from error
    if not isinstance(values, dict):
        raise ResultsError(ResultsReason.UNREADABLE, file, "expected a JSON object")
    if values.get(SCHEMA) != version:
        found = safe(repr(values.get(SCHEMA, "not said")), SHOWN_CHARACTERS)
        detail = f"{SCHEMA} is {found}, expected {version}: run make lab again to measure anew"
        raise ResultsError(ResultsReason.VERSION, file, detail)
    return Fields(file, values)
