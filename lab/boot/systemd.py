"""What systemd knows of services, as `systemctl show` prints it. Pure, but for `services`."""

import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SENSOR = "bulkhead-agent.service"
BASIC = "basic.target"
"""What ordinary services start after."""

PROPERTIES = (
    "Id",
    "After",
    "ActiveState",
    "StatusText",
    "NRestarts",
    "InactiveExitTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",
)
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Service:
    """A service that was started in this boot; seconds are since the kernel's start.

    ready: when it was there in the words of its kind (a Type=notify service: its READY=1).
    ordinary: whether it waits for basic.target, as all services do that ask for nothing else.
    """

    name: str
    started: float
    ready: float | None
    ordinary: bool
    state: str
    status: str
    restarts: int


def services() -> list[Service]:
    """All that systemd has started so far."""
    command = ["/bin/systemctl", "show", "*.service", f"--property={','.join(PROPERTIES)}"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return read(shown.stdout)


def read(shown: str) -> list[Service]:
    """The services in what `systemctl show` prints: blocks of lines, an empty line between."""
    blocks = (_properties(block) for block in shown.split("\n\n"))
    return [_service(block) for block in blocks if int(_seconds_text(block)) > 0]


def from_document(document: Mapping[str, Any]) -> Service:
    """A service as it was reported."""
    return Service(**document)


def document(service: Service) -> dict[str, Any]:
    """A service to be reported."""
    return asdict(service)


def _properties(block: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in block.splitlines())
    return {name: value for name, _, value in pairs}


def _seconds_text(block: Mapping[str, str]) -> str:
    return block.get("InactiveExitTimestampMonotonic", "") or "0"


def _service(block: Mapping[str, str]) -> Service:
    entered = int(block.get("ActiveEnterTimestampMonotonic", "") or "0")
    return Service(
        name=block.get("Id", ""),
        started=int(_seconds_text(block)) / MICROSECONDS,
        ready=entered / MICROSECONDS if entered else None,
        ordinary=BASIC in block.get("After", "").split(),
        state=block.get("ActiveState", ""),
        status=block.get("StatusText", ""),
        restarts=int(block.get("NRestarts", "") or "0"),
    )
