"""The enrolment process of a cloud, and hosts that join as `bulkhead agent join` has them do."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from typer.testing import CliRunner

from bulkhead.v1.enrolment_service_pb2 import JoinRequest
from cli.agent import application
from cli.output import ExitCode
from tests.process.cloud_process import BULKHEAD, Cloud


@dataclass
class Enrolment:
    """A running enrolment process."""

    address: str
    log_file: Path
    process: "subprocess.Popen[bytes]"

    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text(encoding="ascii")

    def events(self, event: str) -> list[dict[str, Any]]:
        """Lines of its log about one kind of event."""
        lines = [json.loads(line) for line in self.log().splitlines()]
        return [line for line in lines if line["event"] == event]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit status."""
        self.process.send_signal(number)
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()


@contextmanager
def enrolment(cloud: Cloud, hours: float = 24.0) -> Iterator[Enrolment]:
    """An enrolment process until the end of the block."""
    log_file = cloud.folder.parent / "enrolment.log"
    command = [*BULKHEAD, "cloud", "enrolment", "--folder", str(cloud.folder), "--json"]
    command += ["--listen", "127.0.0.1:0", "--certificate-hours", str(hours)]
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, log_file.read_text(encoding="ascii")
    running = Enrolment(json.loads(line)["address"], log_file, process)
    try:
        yield running
    finally:
        running.stop()
        process.stdout.close()


def token(cloud: Cloud, output: Path, *more: str) -> Path:
    """A join file."""
    cloud.run("token new", "--output", output, *more)
    return output


def text_of(join_file: Path) -> str:
    """The token in a join file."""
    return str(json.loads(join_file.read_text(encoding="ascii"))["token"])


def join(join_file: Path, tls: Path, *more: str, status: ExitCode = ExitCode.OK) -> str:
    """`bulkhead agent join`; what it said."""
    done = CliRunner().invoke(application, ["join", str(join_file), "--tls", str(tls), *more])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == status, (done.exit_code, done.stdout, done.stderr)
    return done.stdout or done.stderr


def certificate_in(tls: Path) -> x509.Certificate:
    """An agent's certificate."""
    return x509.load_pem_x509_certificate((tls / "agent.pem").read_bytes())


def asked(token_text: str, agent_id: str, signing_request: bytes) -> JoinRequest:
    """What a host says that joins."""
    return JoinRequest(token=token_text, agent_id=agent_id, signing_request=signing_request)
