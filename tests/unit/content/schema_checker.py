"""A small, obvious checker of JSON Schema (draft 2020-12): the keywords that our schema uses.

A keyword that it doesn't know is an error, so that nothing is passed over in silence.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
}
ANNOTATIONS = frozenset({"$schema", "$comment", "$defs", "title", "description"})


class Checker:
    """Says whether values fit a schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.root = schema

    def fits(self, value: Any, schema: Any = None) -> bool:
        """Whether a value fits the whole schema, or a part of it."""
        schema = self.root if schema is None else schema
        if isinstance(schema, bool):
            return schema
        return all(
            self._keyword(keyword, wanted, value, schema)
            for keyword, wanted in schema.items()
            if keyword not in ANNOTATIONS
        )

    def _keyword(self, keyword: str, wanted: Any, value: Any, schema: dict[str, Any]) -> bool:
        if keyword in ("then", "else"):
            return True  # looked at with `if`
        if keyword == "if":
            branch = "then" if self.fits(value, wanted) else "else"
            return self.fits(value, schema.get(branch, True))
        if keyword == "type":
            is_flag = isinstance(value, bool) and wanted != "boolean"
            return isinstance(value, TYPES[wanted]) and not is_flag
        if keyword == "$ref":
            return self.fits(value, self._referred(wanted))
        if keyword in ("allOf", "anyOf", "oneOf"):
            count = sum(self.fits(value, one) for one in wanted)
            return {"allOf": count == len(wanted), "anyOf": count > 0, "oneOf": count == 1}[keyword]
        if keyword == "const":
            return type(value) is type(wanted) and bool(value == wanted)
        if keyword == "enum":
            return value in wanted
        return self._structure(keyword, wanted, value, schema)

    def _structure(self, keyword: str, wanted: Any, value: Any, schema: dict[str, Any]) -> bool:
        of_object: dict[str, Callable[[], bool]] = {
            "required": lambda: all(name in value for name in wanted),
            "properties": lambda: all(
                self.fits(value[name], one) for name, one in wanted.items() if name in value
            ),
            "additionalProperties": lambda: wanted or value.keys() <= schema["properties"].keys(),
        }
        of_array: dict[str, Callable[[], bool]] = {
            "items": lambda: all(self.fits(one, wanted) for one in value),
            "contains": lambda: any(self.fits(one, wanted) for one in value),
            "minItems": lambda: len(value) >= wanted,
            "maxItems": lambda: len(value) <= wanted,
        }
        of_string: dict[str, Callable[[], bool]] = {
            "minLength": lambda: len(value) >= wanted,
            "maxLength": lambda: len(value) <= wanted,
            "pattern": lambda: re.search(wanted, value) is not None,
        }
        of_number: dict[str, Callable[[], bool]] = {
            "minimum": lambda: value >= wanted,
            "maximum": lambda: value <= wanted,
        }
        for kind, known in (
            (dict, of_object),
            (list, of_array),
            (str, of_string),
            (int, of_number),
        ):
            if keyword in known:
                return not isinstance(value, kind) or known[keyword]()
        raise AssertionError(f"a keyword that this checker doesn't know: {keyword}")

    def _referred(self, reference: str) -> Any:
        found: Any = self.root
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        return found
