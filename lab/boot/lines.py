"""What a guest says: one JSON object a line on its second serial port, each with a `what`."""

import json
import os
import termios
from collections.abc import Iterable, Mapping
from typing import Any

PORT = "GUEST_RESULTS"
"""The variable that names the port, in guests."""

READY = "guest: ready"
DONE = "guest: status 0"

Said = Mapping[str, Any]


class Port:
    """The port, in a guest; each line has left the guest when `say` returns.

    Else a line could still wait in the kernel when the power is cut, and what it announced would
    look as if it had never begun.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_NOCTTY)

    def say(self, what: str, **facts: object) -> None:
        """One object."""
        self.line(json.dumps({"what": what, **facts}))

    def line(self, text: str) -> None:
        """One line as it is."""
        view = memoryview(f"{text}\n".encode())
        while view:
            view = view[os.write(self._descriptor, view) :]
        if os.isatty(self._descriptor):
            termios.tcdrain(self._descriptor)


def read(lines: Iterable[str]) -> list[Said]:
    """The objects among lines, in order; what is cut off or foreign is passed over."""
    found: list[Said] = []
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and isinstance(said.get("what"), str):
            found.append(said)
    return found


def first(said: Iterable[Said], what: str) -> Said | None:
    """The first object of a kind."""
    return next((one for one in said if one["what"] == what), None)
