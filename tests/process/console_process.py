"""A console served by a process of its own, a browser without eyes, and a store to be seen."""

import http.client
import json
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

from bulkhead.v1 import report_pb2
from bulkhead.v1.channel_file_pb2 import FieldInput, Severity, Value
from bulkhead.v1.report_pb2 import CrashReport, Detection, Heartbeat
from bulkhead.v1.sensor_service_pb2 import Hello
from cloud import presigned, push
from cloud.console import operators
from cloud.folder import CloudFolder, create, operator_folder
from cloud.offers import Standing
from cloud.presigned import Parts
from cloud.refusals import Refusal
from cloud.rollout.gates import Outcome, Verdict
from cloud.rollout.plan import STAGED, Plan
from cloud.rollout.table import State
from cloud.signing import SigningKey
from cloud.store import hosts, reports, rollouts
from cloud.store.tables import CRASHES, DETECTIONS
from content.model import ChannelFile
from tests.process.cloud_files import IPC, PROCESS, TYPES, channel_file, write

ADA, GRACE = ("ada", "correct horse battery"), ("grace", "staple of a battery")
TOKEN = re.compile(r'name="token" value="([^"]+)"')
REVISION = re.compile(r'name="revision" value="(\d+)"')
HOSTILE = "<script>alert(1)</script>\x1b[31m\n\u202e'\"&"


@dataclass
class Answer:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def token(self) -> str:
        """The token of the page's forms."""
        found = TOKEN.search(self.text)
        assert found, self.text
        return unescape(found[1])

    @property
    def revision(self) -> str:
        """The revision that the page's orders are on."""
        found = REVISION.search(self.text)
        assert found, self.text
        return found[1]


@dataclass
class Browser:
    """Keeps cookies, and does nothing else by itself."""

    address: str
    authority: Path
    cookies: dict[str, str] = field(default_factory=dict)

    def connection(self) -> http.client.HTTPSConnection:
        """A connection whose certificate is checked."""
        context = ssl.create_default_context(cafile=str(self.authority))
        return http.client.HTTPSConnection(self.address, context=context, timeout=10)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Cookie": cookie, **{name.replace("_", "-"): one for name, one in headers.items()}}
        with closing(self.connection()) as connection:
            connection.request(method, path, body, {k: v for k, v in sent.items() if v})
            response = connection.getresponse()
            text = response.read().decode("utf-8")
            for name, value in response.getheaders():
                if name.lower() == "set-cookie":
                    key, _, rest = value.partition("=")
                    self.cookies[key] = rest.partition(";")[0]
            return Answer(response.status, dict(response.getheaders()), text)

    def get(self, path: str) -> Answer:
        """A page."""
        return self.ask("GET", path)

    def post(self, path: str, **fields: str) -> Answer:
        """A form, as it is."""
        kind = "application/x-www-form-urlencoded"
        return self.ask("POST", path, urlencode(fields).encode("ascii"), Content_Type=kind)

    def upload(self, path: str, token: str, name: str, content: bytes) -> Answer:
        """A form with a file."""
        mark = b"--mark-of-a-test"
        parts = (
            mark + b'\r\nContent-Disposition: form-data; name="token"\r\n\r\n' + token.encode(),
            mark + b'\r\nContent-Disposition: form-data; name="' + name.encode() + b'"; '
            b'filename="x.release"\r\nContent-Type: application/octet-stream\r\n\r\n' + content,
            mark + b"--\r\n",
        )
        kind = "multipart/form-data; boundary=mark-of-a-test"
        return self.ask("POST", path, b"\r\n".join(parts), Content_Type=kind)

    def log_in(self, operator: tuple[str, str] = ADA) -> Answer:
        """Log in, and the answer to that."""
        token = self.get("/login").token
        return self.post("/login", token=token, name=operator[0], password=operator[1])


@dataclass
class Console:
    """A cloud's folder that nobody serves sensors from, and the console's process."""

    folder: Path
    address: str
    process: subprocess.Popen[bytes]

    @property
    def cloud(self) -> CloudFolder:
        """The folder as the cloud knows it."""
        return CloudFolder(self.folder)

    @property
    def key(self) -> Path:
        """The signing key, at the operator's desk."""
        return operator_folder(self.folder) / "signing.key"

    def browser(self) -> Browser:
        """A new one."""
        return Browser(self.address, self.cloud.authority_certificate)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(10)

    def push(self, version: int = 1, at: int | None = None) -> bytes:
        """Push a sound Channel File; its hash. at: ns since the epoch, or now."""
        now = time.time_ns() if at is None else at
        file = write(self.folder.parent / f"ipc-{version}.channel", channel_file(version))
        candidates = push.read_candidates([file], TYPES, unsafe=False)
        key = SigningKey.from_file(self.key)
        with closing(self.cloud.open()) as database:
            (one,) = push.store(database, candidates, [key], now, unsafe=False, by="ada")
        return one.content_hash

    def sign(self, content: ChannelFile, key: SigningKey | None = None) -> Parts:
        """What an operator makes of it at a desk that only reads the cloud's folder."""
        file = write(self.folder.parent / "signed.channel", content)
        (candidate,) = push.read_candidates([file], TYPES, unsafe=False)
        keys = [key or SigningKey.from_file(self.key)]
        with closing(self.cloud.look()) as database, database.reading() as store:
            return presigned.sign(store, candidate, keys, time.time_ns())

    def passed(self, name: bytes) -> None:
        """As if the cloud had just looked at its gates, and all have passed."""
        with closing(self.cloud.open()) as database, database.writing() as store:
            stored = rollouts.find(store, name)
            assert stored is not None
            gate = Verdict("reach", Outcome.PASSED, "1 of 1 hosts", "at least 1 hosts")
            after = replace(stored.rollout, verdicts=(gate,))
            rollouts.note_look(store, stored, after, time.time_ns())

    def state(self, name: bytes) -> State:
        """Where a rollout stands."""
        with closing(self.cloud.open()) as database, database.reading() as store:
            stored = rollouts.find(store, name)
        assert stored is not None
        return stored.rollout.state

    def detect(self, process: bytes, number: int = 1, host: str = "web-1") -> None:
        """A host has detected something."""
        fields = {one.name: one.number for one in PROCESS.fields}
        values = {"command_line": process, "parent_command_line": b"/bin/sh -c x"}
        inputs = [
            FieldInput(field=fields[name], value=Value(text=text)) for name, text in values.items()
        ]
        one = Detection(
            id=f"d-{number}",
            template_type=PROCESS.number,
            inputs=inputs,
            instance_id="shell-from-web",
            severity=Severity.SEVERITY_HIGH,
            title="A shell from a web server",
            rung=report_pb2.RUNG_BPF_BTF,
            time_unix_ns=time.time_ns(),
        )
        with closing(self.cloud.open()) as database, database.writing() as store:
            reports.add(store, DETECTIONS, reports.detection_rows(host, [one], time.time_ns()))

    def detect_many(self, batch: int) -> None:
        """A host has detected fifty things, with much to say of each."""
        much = "x" * 600
        many = [
            Detection(id=f"{batch}-{number}", title=much, instance_id=much, time_unix_ns=1)
            for number in range(50)
        ]
        with closing(self.cloud.open()) as database, database.writing() as store:
            rows = reports.detection_rows("web-9", many, time.time_ns())
            reports.add(store, DETECTIONS, rows)

    def crash(
        self,
        suspect: bytes,
        number: int = 1,
        host: str = "web-1",
        at: int | None = None,
        **more: object,
    ) -> None:
        """A host's evaluator has died."""
        now = time.time_ns() if at is None else at
        said = {"action": "EVENT_SET_ASIDE", "suspect_instance_id": "test-word", **more}
        one = CrashReport(
            id=f"c-{number}",
            time_unix_ns=now,
            role=report_pb2.ROLE_EVALUATOR,
            signal=11,
            cause="SIGNAL",
            suspect_content_hash=suspect,
            suspect_template_type=IPC.number,
            suspect_sequence=7,
            **said,  # type: ignore[arg-type]
        )
        with closing(self.cloud.open()) as database, database.writing() as store:
            reports.add(store, CRASHES, [reports.crash_row(host, one, now)])

    def meet(
        self,
        host: str,
        *,
        reduced: bool = False,
        platform: str = "linux/x86_64/6.1",
        active: int = 0,
    ) -> None:
        """A host has said hello and sent a heartbeat; active: a version."""
        rung = report_pb2.RUNG_PSUTIL if reduced else report_pb2.RUNG_BPF_BTF
        hello = Hello(agent_id=host, sensor_version="0.1.0", platform=platform, rung=rung)
        if active:
            hello.active.add(template_type=IPC.number, version=active, content_hash=b"a" * 32)
        beat = Heartbeat(rung=rung, reduced_functionality=reduced, events_evaluated=1_000)
        with closing(self.cloud.open()) as database, database.writing() as store:
            session = f"session of {host}"[:40]
            hosts.say_hello(store, hello, session, time.time_ns())
            hosts.Beats(host, session, beat, time.time_ns())(store)

    def quarantine(self, host: str, name: bytes, found: str) -> None:
        """A host has put content into quarantine."""
        refusal = Refusal("EVALUATOR_DIED", "test-word", found, "an evaluator that lives")
        row = hosts.ContentRow(host, name, Standing.QUARANTINED, 1, (refusal,), time.time_ns())
        with closing(self.cloud.open()) as database, database.writing() as store:
            hosts.set_content(store, [row])


@contextmanager
def new_console(folder: Path, plan: Plan = STAGED, **limits: float) -> Iterator[Console]:
    """A new cloud with two operators, and its console."""
    cloud = CloudFolder(folder / "cloud")
    create(cloud.path, operator_folder(cloud.path), datetime.now(UTC), plan)
    with closing(cloud.open()) as database:
        for name, password in (ADA, GRACE):
            operators.add(cloud, database, name, password, "a test", time.time_ns())
    command = [sys.executable, "-m", "tests.process.console_serve", str(cloud.path), "127.0.0.1:0"]
    with (folder / "console.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, json.dumps(limits)], stdout=subprocess.PIPE, stderr=log
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, (folder / "console.log").read_text(encoding="ascii")
        yield Console(cloud.path, json.loads(line)["address"], process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
