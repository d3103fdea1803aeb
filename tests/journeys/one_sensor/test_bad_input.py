"""Bad input to a running sensor: a second agent, hostile names, content in the wrong order."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from content.channel_file import (
    Envelope,
    content_hash,
    load,
    load_envelope,
    pack,
    pack_envelope,
)
from lab.demo.processes import bulkhead, run_json, wait_for
from lab.demo.steps import Demonstration
from tests.journeys.helpers import in_force, protected

HOSTILE = b'bulkhead-canary-\x1b[31mred\n{"fake": 1}\xff\xfe[bold]x\xe2\x80\xae'


def test_a_second_agent_is_refused(sensor: Demonstration, tmp_path: Path) -> None:
    """Two agents on one state folder would overwrite each other's content."""
    arguments = ["agent", "run", "--state", str(sensor.world.state)]
    arguments += ["--control", str(tmp_path / "control.sock")]
    result = subprocess.run(bulkhead(*arguments), capture_output=True, check=False, timeout=20)
    assert result.returncode == 3
    assert b"another agent is running" in result.stderr
    assert b"Traceback" not in result.stderr
    protected(sensor)


def test_hostile_names_stay_on_one_line(sensor: Demonstration) -> None:
    """A process name could forge a log entry or steer the operator's terminal."""
    program = os.fsencode(sensor.scratch) + b"/" + HOSTILE
    shutil.copy(b"/bin/true", program)
    subprocess.run([program, b"\x1b]0;title\x07", b"\xff\n"], check=True, timeout=10)

    def seen() -> dict[str, object] | None:
        for one in sensor.world.detections():
            if "fake" in one["inputs"].get("image", ""):
                return one
        return None

    wait_for("detection of the hostile name", seen, 10.0)
    log = (sensor.world.state / "link" / "detections.jsonl").read_bytes()
    assert all(byte in b"\n" or 0x20 <= byte < 0x7F for byte in log)
    assert all(isinstance(json.loads(line), dict) for line in log.splitlines())
    screen = subprocess.run(
        bulkhead("cloud", "detections", "--folder", str(sensor.world.cloud_folder)),
        capture_output=True,
        check=True,
        timeout=20,
    ).stdout
    assert b"\x1b" not in screen
    assert "\u202e" not in screen.decode()


def test_an_older_version_is_refused(sensor: Demonstration) -> None:
    """An attacker could replay old content that detects less."""
    before = in_force(sensor)
    packed = sensor.world.folder / "packed" / "process.channel"
    old = load(load_envelope(packed.read_bytes()).payload)
    fewer = type(old)(old.template_type, old.version, old.instances[:1])
    payload = pack(fewer)
    file = sensor.world.folder / "older.channel"
    file.write_bytes(pack_envelope(Envelope(payload)))
    key = str(sensor.world.operator_folder / "signing.key")
    run_json(
        "cloud", "push", str(file), "--folder", str(sensor.world.cloud_folder),
        "--key", key, "--unsafe-skip-validator", "--wait", "5", allowed=(0, 1),
    )  # fmt: skip
    assert in_force(sensor) == before
    assert content_hash(payload).hex() not in {found for _, found in before}
    protected(sensor)
