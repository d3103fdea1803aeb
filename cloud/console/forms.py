"""Forms as browsers send them, read strictly: each field once, UTF-8, no more than expected.

`read` takes both encodings of HTML. A part with a file name is kept as bytes, the others as text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from cloud.console.limits import LIMITS
from cloud.errors import CloudReason, RequestError

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
BOUNDARY = re.compile(r';\s*boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?\s*$', re.ASCII)
NAME = re.compile(rb'[;\s]name="([a-z_]{1,40})"', re.ASCII)
FILE_NAME = re.compile(rb'[;\s]filename="', re.ASCII)
LONGEST_PART_HEADER = 1024


@dataclass(frozen=True, slots=True)
class Form:
    """Fields by name, and files."""

    fields: Mapping[str, str]
    files: Mapping[str, bytes]

    def text(self, name: str) -> str:
        """A field that has to be there."""
        if name not in self.fields:
            raise invalid(f"field {name}: missing")
        return self.fields[name]

    def ticked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return self.fields.get(name) == "yes"

    def number(self, name: str, kind: type[float] = float) -> float:
        """A number."""
        text = self.text(name)
        try:
            return kind(text)
        except ValueError as error:
            raise invalid(f"field {name}: found {text!a:.40}, expected a number") from error


NO_FORM = Form({}, {})


def read(content_type: str, body: bytes) -> Form:
    """The form; RequestError for what no browser sends."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == URLENCODED:
            return _once(_urlencoded(body), {})
        if kind == MULTIPART:
            return _multipart(content_type, body)
    except ValueError as error:
        raise invalid("expected fields in UTF-8") from error
    raise invalid(f"found {kind!a:.60}, expected {URLENCODED} or {MULTIPART}")


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(
        body.decode("ascii"),
        keep_blank_values=True,
        strict_parsing=bool(body),
        errors="strict",
        max_num_fields=LIMITS.form_fields,
    )


def _multipart(content_type: str, body: bytes) -> Form:
    found = BOUNDARY.search(content_type)
    if not found:
        raise invalid("multipart without a boundary")
    mark = b"\r\n--" + found[1].encode("ascii")
    first, *parts = (b"\r\n" + body).split(mark, LIMITS.form_fields + 1)
    if first or not parts or parts[-1].rstrip(b"\r\n") != b"--":
        raise invalid("multipart that does not begin or end with its boundary")
    fields: list[tuple[str, str]] = []
    files: dict[str, bytes] = {}
    for part in parts[:-1]:
        head, separator, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = NAME.search(head)
        if not separator or not name or len(head) > LONGEST_PART_HEADER:
            raise invalid("a part without a name")
        if FILE_NAME.search(head):
            files[name[1].decode("ascii")] = content
        else:
            fields.append((name[1].decode("ascii"), content.decode("utf-8")))
    return _once(fields, files)


def _once(fields: list[tuple[str, str]], files: dict[str, bytes]) -> Form:
    found = dict(fields)
    if len(found) != len(fields):
        raise invalid("a field that is there twice")
    return Form(found, files)


def invalid(message: str) -> RequestError:
    """A form that this console has not made."""
    return RequestError(CloudReason.FORM_INVALID, f"form: {message}")
