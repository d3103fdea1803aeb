"""The audit log's hash chain: each entry is bound to all before it. Pure.

An entry that was changed, taken out, put in or moved is found, and the first one is named. What was
cut off at the end can't be seen from the rest: whoever kept the last hash can ask for it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

FIRST = bytes(32)
"""What the first entry is bound to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Who did what to what; `detail` is JSON. `digest` covers all of it and the entry before."""

    number: int
    time_unix_ns: int
    actor: str
    action: str
    subject: str
    detail: str
    digest: bytes


def digest_of(entry: Entry, before: bytes) -> bytes:
    """SHA-256 over the digest before and the entry's fields, which JSON keeps apart."""
    fields = [
        entry.number,
        entry.time_unix_ns,
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail,
    ]
    return hashlib.sha256(before + json.dumps(fields).encode("ascii")).digest()


@dataclass(frozen=True, slots=True)
class Broken:
    """The first entry that is not as it must be, and in what."""

    number: int
    found: str
    expected: str


def first_broken(entries: Iterable[Entry], head: bytes | None = None) -> Broken | None:
    """Check a chain in its order; `head`: a digest that must occur in it, as noted earlier."""
    before, last, seen = FIRST, 0, head is None
    for entry in entries:
        if entry.number != last + 1:
            return Broken(last + 1, f"entry {entry.number}", f"entry {last + 1}")
        expected = digest_of(entry, before)
        if entry.digest != expected:
            return Broken(entry.number, entry.digest.hex(), expected.hex())
        before, last = entry.digest, entry.number
        seen = seen or entry.digest == head
    if not seen and head is not None:
        return Broken(last + 1, "the end of the log", f"an entry with digest {head.hex()}")
    return None
