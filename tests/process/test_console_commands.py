"""The console as it is begun by its commands, beside a cloud that serves sensors."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bulkhead.v1.report_pb2 import CONTENT_STATE_ACTIVE
from cli.output import ExitCode
from cloud.push import HALTED
from cloud.rollout.plan import STAGED
from tests.process.cloud_agent import ScriptedAgent, hello
from tests.process.cloud_files import channel_file, write
from tests.process.cloud_process import BULKHEAD, Cloud, new_cloud
from tests.process.console_process import ADA, Browser
from tests.process.waiting import until


@contextmanager
def console(cloud: Cloud) -> Iterator[tuple[subprocess.Popen[bytes], Browser]]:
    """`bulkhead cloud console`, and a browser on it once it says that it is ready."""
    read_end, write_end = os.pipe()
    options = ["--folder", str(cloud.folder), "--listen", "127.0.0.1:0", "--json"]
    command = [*BULKHEAD, "cloud", "console", *options, "--ready-fd", str(write_end)]
    process = subprocess.Popen(
        command, pass_fds=(write_end,), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    os.close(write_end)
    try:
        with os.fdopen(read_end) as ready:
            told = json.loads(ready.readline())
        yield process, Browser(told["address"], cloud.folder / "authority" / "ca.pem")
    finally:
        process.kill()
        process.communicate()


def password(text: str) -> str:
    """A descriptor that a command reads a password from, and closes."""
    read_end, write_end = os.pipe()
    os.write(write_end, text.encode() + b"\n")
    os.close(write_end)
    return str(read_end)


def test_from_an_operator_s_first_login_to_a_halt_on_a_host(tmp_path: Path) -> None:
    """What the page orders would not reach those whom it is about."""
    with new_cloud(tmp_path, STAGED) as cloud:
        cloud.start()
        cloud.run("operator add", ADA[0], "--password-fd", password(ADA[1]), "--by", "root")
        release = tmp_path / "ipc.release"
        done = cloud.finished("operator list", "--json")
        assert json.loads(done.stdout) == {"operators": ["ada"]}
        file = write(tmp_path / "ipc.channel", channel_file())
        cloud.run("sign", file, "--key", cloud.key, "--output", release)
        with (
            console(cloud) as (process, browser),
            ScriptedAgent(cloud.address, cloud.agent_folder("web-1")) as agent,
        ):
            agent.greet(hello("web-1"))
            assert browser.log_in().status == 303
            token = browser.get("/rollouts").token
            pushed = browser.upload("/push", token, "release", release.read_bytes())
            until(lambda: bool(agent.offers()))
            assert "<b>1</b> of 1 hosts connected" in browser.get("/").text
            name = agent.offers()[0].content_hash
            agent.acknowledge(1, name, CONTENT_STATE_ACTIVE)
            path = pushed.headers["location"]
            order = {"token": token, "reason": "seen in the console", "sure": "yes"}
            assert browser.post(f"{path}/halt", **order).status == 303
            until(lambda: bool(agent.of("revocation")))
            (revoked,) = agent.of("revocation")
            assert revoked.revocation.reason == HALTED  # as it was signed with the content
            assert "seen in the console" in browser.get(path).text
            ends_whoever_looks(process, browser)


def ends_whoever_looks(process: subprocess.Popen[bytes], browser: Browser) -> None:
    """Although somebody follows detections, and somebody else has only connected."""
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    with closing(browser.connection()) as stream, closing(browser.connection()) as idle:
        stream.request("GET", "/detections/stream", headers={"Cookie": cookie})
        assert stream.getresponse().status == 200
        idle.connect()
        process.terminate()
        assert process.wait(10) == 0


def test_what_can_not_be_meant_is_refused_by_the_commands(tmp_path: Path) -> None:
    """A mistyped name would be an operator, and nobody told."""
    with new_cloud(tmp_path) as cloud:
        add = ("operator add", "--password-fd")
        refused = cloud.run(*add, password("short"), "ada", status=ExitCode.REFUSED)
        assert "PASSWORD_INVALID" in refused
        refused = cloud.run(*add, password(ADA[1]), "\x1b[31m", status=ExitCode.REFUSED)
        assert "OPERATOR_INVALID" in refused
        assert "\x1b" not in refused
        assert "DESCRIPTOR_INVALID" in cloud.run(*add, "999", "ada", status=ExitCode.USAGE)
        assert "PASSWORD_INVALID" in cloud.run("operator add", "ada", status=ExitCode.USAGE)
        unknown = cloud.run("operator remove", "ada", status=ExitCode.REFUSED)
        assert "OPERATOR_UNKNOWN" in unknown
        cloud.run(*add, password(ADA[1]), "ada")
        cloud.run("operator password", "--password-fd", password("another password"), "ada")
        cloud.run("operator remove", "ada")
        for listen in ("nowhere", "127.0.0.1:99999"):
            said = cloud.run("console", "--listen", listen, status=ExitCode.USAGE)
            assert "ADDRESS_INVALID" in said
        (cloud.folder / "server" / "server.pem").write_text("no certificate", encoding="ascii")
        said = cloud.run("console", "--listen", "127.0.0.1:0", status=ExitCode.REFUSED)
        assert "CERTIFICATE_INVALID" in said
