"""A sensor's store, as it is on a host's disk before the first boot, and the cloud beside it.

What is in force is accepted, as if it had passed its trial long ago. The cloud has the file that is
pushed, forced past its validator: the host gets it as soon as the cloud is started there.
"""

from pathlib import Path

from cloud.signing import SigningKey
from content.channel_file import Envelope, content_hash, load, pack_envelope
from lab.boot.state import write_history
from lab.cells.parts import Delivery, Fault
from lab.demo.processes import run_json
from lab.hosts.order import PUSHED
from lab.runners.files import Files

AGENT_ID = "lab-host"
CLOUD, OPERATOR, TLS, STATE = "cloud", "operator", "tls", "state"
PAYLOADS = "payloads"


def write(folder: Path, files: Files, fault: Fault) -> None:
    """Make cloud and store in a folder."""
    cloud, operator, tls = (str(folder / name) for name in (CLOUD, OPERATOR, TLS))
    run_json("cloud", "init", "--folder", cloud, "--operator", operator)
    run_json("cloud", "enroll", "--folder", cloud, "--agent-id", AGENT_ID, "--output", tls)
    key_file = folder / OPERATOR / "signing.key"
    key = SigningKey.from_file(key_file)
    present = fault.delivery is Delivery.PRESENT
    last = files.bad if present else files.before
    write_history(folder / STATE, _history(files, last), key)
    if present:
        _damage(folder, last, fault)
        return
    (folder / PUSHED).write_bytes(pack_envelope(Envelope(files.bad)))
    options = ("--folder", cloud, "--key", str(key_file), "--unsafe-skip-validator")
    run_json("cloud", "push", str(folder / PUSHED), *options)


def _history(files: Files, last: bytes) -> list[tuple[bytes, int, int]]:
    payloads = (files.canary, files.before) if last == files.before else (files.canary, files.before, last)
    return [facts(one) for one in payloads]


def facts(payload: bytes) -> tuple[bytes, int, int]:
    """A payload with its Template Type and version."""
    file = load(payload)
    return payload, file.template_type.number, file.version


def _damage(folder: Path, payload: bytes, fault: Fault) -> None:
    """What a crash or a full disk has made of a payload that is in force."""
    path = folder / STATE / PAYLOADS / content_hash(payload).hex()
    path.write_bytes(fault.damage(path.read_bytes()))
