"""An event that an evaluator of the laboratory dies of, and which kind of death: a FIFO's name.

It is of a Template Type that no content in force is for, so that it blames no content: the event is
set aside and counted, and everything goes on as before, as often as one likes.
"""

import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

TYPE = "ipc"
WORD = b"lab-die-of-"
_NAME = re.compile(re.escape(WORD) + rb"([a-zA-Z_-]+)\.([0-9]+)\.")


def name(kind: str, supervisor: int) -> str:
    """A name that nobody has used; deaths are told by it.

    supervisor: pid of the one whose evaluator is meant. Every sensor on a host sees every event.
    """
    return f"{WORD.decode()}{kind.replace(' ', '_')}.{supervisor}.{secrets.token_hex(6)}"


def pull(folder: Path, kind: str, supervisor: int) -> None:
    """Cause the event."""
    path = folder / name(kind, supervisor)
    os.mkfifo(path)
    path.unlink()


def kind_in(inputs: Iterable[bytes | int], supervisor: int) -> str:
    """Which kind of death an event asks for, of an evaluator of that supervisor; empty for none.

    inputs: those of the event. Not the bytes of its record: behind the end of a text there is what
    another event has left, and who dies of that dies again each time that the ring has gone round.
    """
    for text in inputs:
        found = _NAME.search(text) if isinstance(text, bytes) else None
        if found is not None and int(found[2]) == supervisor:
            return found[1].decode("ascii").replace("_", " ")
    return ""
