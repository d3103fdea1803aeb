"""An event that an evaluator of the laboratory dies of, and which kind of death: a FIFO's name.

It is of a Template Type that no content in force is for, so that it blames no content: the event is
set aside and counted, and everything goes on as before, as often as one likes.
"""

import os
import secrets
from pathlib import Path

TYPE = "ipc"
WORD = b"lab-die-of-"
_END = b"."


def name(kind: str) -> str:
    """A name that nobody has used; deaths are told by it."""
    return f"{WORD.decode()}{kind.replace(' ', '_')}{_END.decode()}{secrets.token_hex(6)}"


def pull(folder: Path, kind: str) -> None:
    """Cause the event."""
    path = folder / name(kind)
    os.mkfifo(path)
    path.unlink()


def kind_in(record: bytes) -> str:
    """Which kind of death a record asks for, from its bytes; empty for none."""
    _, found, rest = record.partition(WORD)
    return rest.partition(_END)[0].decode("ascii", "replace").replace("_", " ") if found else ""
