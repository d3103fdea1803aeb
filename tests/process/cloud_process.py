"""A cloud served by a process of its own and driven through the command line."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from cli.cloud import application
from cli.output import ExitCode
from cloud.enrolment.orders import enrol
from cloud.folder import CloudFolder, create, operator_folder
from cloud.rollout.plan import IMMEDIATE, Plan

BULKHEAD = (sys.executable, "-c", "from cli.main import main; main()")


@dataclass
class Cloud:
    """A cloud's folder and, between `start` and `stop`, the process that serves it."""

    folder: Path
    address: str = ""
    agents: dict[str, Path] = field(default_factory=dict)
    begins_with: tuple[str, ...] = ()
    """What the serving process is started by, such as `ip netns exec NAME`."""
    options: tuple[str, ...] = ()
    """Of the serving process, beside its folder, address and limits."""
    _process: subprocess.Popen[bytes] | None = None
    _log: Path | None = None

    @property
    def key(self) -> Path:
        """The operator's signing key."""
        return operator_folder(self.folder) / "signing.key"

    def agent_folder(self, agent_id: str) -> Path:
        """Certificate and keys of an agent, made when it is first asked for."""
        if agent_id not in self.agents:
            output = self.folder.parent / f"agent-{agent_id}"
            enrol(CloudFolder(self.folder), agent_id, output, datetime.now(UTC))
            self.agents[agent_id] = output
        return self.agents[agent_id]

    def start(self, *, unsafe: bool = False, **limits: float) -> None:
        """Serve on the same port as before, if there was one."""
        self._log = self.folder.parent / "cloud.log"
        listen = self.address or "127.0.0.1:0"
        python = (*self.begins_with, sys.executable)
        command = [*python, "-m", "tests.process.cloud_serve", str(self.folder), listen]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(int(unsafe)), json.dumps(limits), *self.options],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log()
        self.address = json.loads(line)["address"]

    def pid(self) -> int:
        """The serving process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        self._end(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 10.0) -> int:
        """End it cleanly; its exit status."""
        return self._end(number, seconds)

    def log(self) -> str:
        """What it has logged so far."""
        assert self._log is not None
        return self._log.read_text(encoding="ascii")

    def run(self, *arguments: str | Path, status: ExitCode = ExitCode.OK) -> str:
        """`bulkhead cloud` with these arguments; standard output, or error where that is empty."""
        done = self.finished(*arguments)
        assert done.exit_code == status, (done.exit_code, done.stdout, done.stderr)
        return done.stdout or done.stderr

    def json(self, *arguments: str | Path, status: ExitCode = ExitCode.OK) -> Any:
        """The JSON document of a command."""
        return json.loads(self.run(*arguments, "--json", status=status))

    def finished(self, *arguments: str | Path) -> Result:
        """The command's end, whatever it was; the command runs in the test's own process."""
        name, *others = map(str, arguments)
        given = [*name.split(), "--folder", str(self.folder), *others]
        done = CliRunner().invoke(application, given)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    def push(self, *files: Path, wait: float = 0, status: ExitCode = ExitCode.OK) -> Any:
        """Push files with the operator's key."""
        return self.json("push", *files, "--key", self.key, "--wait", str(wait), status=status)

    def _end(self, number: int, seconds: float = 10.0) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(seconds)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@contextmanager
def new_cloud(folder: Path, plan: Plan = IMMEDIATE) -> Iterator[Cloud]:
    """A cloud that nobody serves yet; whatever serves it in the end is ended.

    Content goes to everybody at once, unless a test brings another plan.
    """
    cloud = Cloud(folder / "cloud")
    create(cloud.folder, operator_folder(cloud.folder), datetime.now(UTC), plan)
    try:
        yield cloud
    finally:
        cloud.kill()
