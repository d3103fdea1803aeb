"""The demonstration's small world: a folder of its own, a cloud, an agent.

Everything lives in a temporary folder that other users may pass through (roles run under their own
users), and is gone at the end; logs and the report are kept in the output folder.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.supervisor.control import ask
from lab.demo.claims import ClaimError
from lab.demo.processes import Service, run_json, start_service, wait_for
from lab.demo.rights import service_rights

AGENT_ID = "demo-host"
PROBATION_SECONDS = 3.0
PREFIX = "bulkhead-demo-"
TEMPORARY = Path("/tmp")  # noqa: S108 — mkdtemp makes a private folder in it
"""Not $TMPDIR: other users must be able to pass, and hidden files there have a meaning."""


@dataclass(slots=True)
class World:
    """Folders, the two services, and what they say."""

    output: Path
    folder: Path = field(
        default_factory=lambda: Path(tempfile.mkdtemp(prefix=PREFIX, dir=TEMPORARY))
    )
    cloud: Service | None = None
    agent: Service | None = None
    address: str = ""

    def __post_init__(self) -> None:
        """Let the roles' users pass."""
        self.folder.chmod(0o711)
        self.output.mkdir(parents=True, exist_ok=True)

    @property
    def cloud_folder(self) -> Path:
        """The cloud's database and certificates."""
        return self.folder / "cloud"

    @property
    def operator_folder(self) -> Path:
        """The signing key, which the serving process doesn't hold."""
        return self.folder / "operator"

    @property
    def state(self) -> Path:
        """The agent's state folder."""
        return self.folder / "state"

    @property
    def control(self) -> Path:
        """The agent's control socket."""
        return self.folder / "control.sock"

    def start_cloud(self, *options: str) -> None:
        """Serve; returns when the port is open."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        listen = self.address or "127.0.0.1:0"
        arguments = ["cloud", "run", "--folder", str(self.cloud_folder), "--listen", listen]
        arguments += ["--ready-fd", str(writing), *options]
        self.cloud = start_service("cloud", arguments, self.output / "cloud.log", [writing])
        os.close(writing)
        with os.fdopen(reading) as ready:
            line = ready.readline()
        if not line:
            raise ClaimError(f"the cloud did not start: {self.cloud.tail()}")
        self.address = json.loads(line)["address"]

    def start_agent(self, *options: str) -> None:
        """Run the sensor; returns when its supervisor answers."""
        arguments = ["agent", "run", "--state", str(self.state), "--control", str(self.control)]
        arguments += ["--cloud", self.address, "--tls", str(self.folder / "tls")]
        arguments += ["--trust", str(self.folder / "tls" / "root.json")]
        arguments += ["--agent-id", AGENT_ID, "--probation-seconds", str(PROBATION_SECONDS)]
        log = self.output / "agent.log"
        self.agent = start_service("agent", [*arguments, *options], log, within=service_rights())
        self.wait("supervisor that answers", lambda _status: True, 20.0)

    def status(self) -> Mapping[str, Any] | None:
        """What the supervisor says now; None if nobody answers."""
        try:
            return ask(self.control)
        except (OSError, ValueError):
            return None

    def wait(
        self, what: str, fits: Callable[[Mapping[str, Any]], bool], seconds: float
    ) -> Mapping[str, Any]:
        """Wait until the agent's status fits."""

        def look() -> Mapping[str, Any] | None:
            if self.agent is not None and self.agent.process.poll() is not None:
                raise ClaimError(f"the agent has ended: {self.agent.tail()}")
            status = self.status()
            return status if status is not None and fits(status) else None

        return wait_for(what, look, seconds)

    def detections(self) -> list[dict[str, Any]]:
        """The agent's own detection log."""
        return list(_json_lines(self.state / "link" / "detections.jsonl"))

    def cloud_json(self, command: str, *arguments: str) -> Any:
        """What `bulkhead cloud COMMAND --json` says."""
        return run_json("cloud", command, "--folder", str(self.cloud_folder), *arguments)[1]

    def stop(self) -> None:
        """End both services; what remains is for the caller to look at."""
        for service in (self.agent, self.cloud):
            if service is not None:
                service.stop()

    def remove(self) -> None:
        """Remove the temporary folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def unix_ns(moment: str) -> int:
    """Nanoseconds since 1970 of a time as logs and the cloud show it, nine decimals, in UTC."""
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    seconds = datetime.fromisoformat(whole + "+00:00").timestamp()
    return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0"))


def is_root() -> bool:
    """Whether BPF, users of their own and so on can be had."""
    return os.geteuid() == 0


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return
    for line in lines:
        if line.endswith(b"\n"):
            yield json.loads(line)
