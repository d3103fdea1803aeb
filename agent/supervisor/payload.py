"""What the link hands over as content, checked as far as that goes without parsing it.

The link talks to a network and is not trusted: the hash must be one, the payload must be a sealed
memfd of a permitted size (so that it neither changes nor blocks while it is read), and its hash
must be the one that was said.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Mapping

from agent.channel import Message, ProtocolViolationError
from agent.lifecycle import State
from agent.supervisor.limits import LIMITS

Problem = Mapping[str, str]

_HASH = re.compile(r"[0-9a-f]{64}")
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class RefusedError(Exception):
    """A payload is refused before anybody parses it: why, and the state that it is in now.

    Unless it was given up before, that is no verdict on the content, which may be offered again.
    """

    def __init__(
        self, reason: str, found: str, expected: str, state: State = State.UNDELIVERED
    ) -> None:
        self.problem = problem(reason, "", found, expected)
        self.state = state
        super().__init__(reason)


def problem(reason: str, place: str, found: str, expected: str) -> dict[str, str]:
    """A reason why content was refused, as it travels to the link; long values are cut."""
    values = {"reason": reason, "place": place, "found": found, "expected": expected}
    return {name: value[: LIMITS.problem_characters] for name, value in values.items()}


def hash_of(message: Message) -> str:
    """The hash that a message is about; ProtocolViolationError if it is none."""
    content_hash = message["hash"]
    if not _HASH.fullmatch(content_hash):
        close_descriptors(message)
        raise ProtocolViolationError(f"{message.kind}: {content_hash!r:.80} is not a hash")
    return str(content_hash)


def read(message: Message) -> bytes:
    """The payload behind the message's only descriptor; RefusedError, or OSError from reading.

    Closes all descriptors.
    """
    try:
        if len(message.descriptors) != 1:
            raise RefusedError("NO_PAYLOAD", f"{len(message.descriptors)} descriptors", "one")
        payload = _read_sealed(message.descriptors[0])
    finally:
        close_descriptors(message)
    found = hashlib.sha256(payload).hexdigest()
    if found != message["hash"]:
        raise RefusedError("HASH_MISMATCH", found, message["hash"])
    return payload


def close_descriptors(message: Message) -> None:
    """Close what came with a message that is not used any further."""
    for descriptor in message.descriptors:
        os.close(descriptor)


def _read_sealed(descriptor: int) -> bytes:
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        seals = 0
    if seals & _SEALS != _SEALS:
        raise RefusedError("NOT_SEALED", "a descriptor without seals", "a sealed memfd")
    size = os.fstat(descriptor).st_size
    if not 0 < size <= LIMITS.payload_bytes:
        raise RefusedError(
            "EMPTY_FILE" if size == 0 else "FILE_TOO_LARGE",
            f"{size} bytes",
            f"1 to {LIMITS.payload_bytes} bytes",
        )
    return os.pread(descriptor, size, 0)
