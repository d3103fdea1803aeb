"""The supervisor's log: one line per happening, escaped, on standard error.

Standard error is where a service manager or a terminal looks; with `as_json` each line is a JSON
object. What a role prints passes through here too, so nobody can write a line of somebody else's.
"""

import contextlib
import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from content.escape import safe

MAX_CHARACTERS = 2000
"""Longest text of one fact that is shown."""


@dataclass(slots=True)
class Log:
    """Writes lines; a broken standard error is no reason to stop protecting."""

    as_json: bool = False
    stream: TextIO = sys.stderr
    _reasons: list[str] | None = None

    def condition(self, reasons: list[str]) -> None:
        """Why the sensor does less than it could, or that it does all; said when that changes."""
        if reasons == self._reasons:
            return
        self._reasons = reasons
        if reasons:
            self.say("REDUCED FUNCTIONALITY", because=", ".join(reasons))
        else:
            self.say("full functionality")

    def say(self, happening: str, **facts: object) -> None:
        """Log one happening; facts are shown escaped, in the order given."""
        now = time.time()
        if self.as_json:
            cut = {name: _cut(value) for name, value in facts.items()}
            line = json.dumps({"time": round(now, 6), "happening": happening, **cut}, default=str)
        else:
            stamp = datetime.fromtimestamp(now, UTC).strftime("%H:%M:%S.%f")[:-3]
            shown = "  ".join(
                f"{name}={safe(str(value), MAX_CHARACTERS)}" for name, value in facts.items()
            )
            line = f"{stamp}  {happening:<22}  {shown}".rstrip()
        # The other end of standard error may be gone.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(line + "\n")
            self.stream.flush()


def _cut(value: object) -> object:
    if not isinstance(value, str) or len(value) <= MAX_CHARACTERS:
        return value
    return f"{value[:MAX_CHARACTERS]}…(+{len(value) - MAX_CHARACTERS} more)"
