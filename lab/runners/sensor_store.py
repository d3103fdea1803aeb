"""A sensor's store, as it is on a host's disk before the first boot, and the cloud beside it.

What is in force is accepted, as if it had passed its trial long ago. The cloud has the file that is
pushed, forced past its validator, whose words are kept: the host gets the file as soon as the cloud
is started there.
"""

import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from cloud import push
from cloud.enrolment.orders import enrol
from cloud.folder import CloudFolder, create
from cloud.push import PushRefusedError
from cloud.rollout.plan import IMMEDIATE
from cloud.signing import SigningKey
from cloud.store.database import Database
from content.channel_file import content_hash, load
from content.definitions import load_definitions
from lab.boot.state import write_history
from lab.cells.parts import Delivery, Fault
from lab.hosts.order import PUSHED
from lab.runners.files import Files

AGENT_ID = "lab-host"
CLOUD, OPERATOR, TLS, STATE = "cloud", "operator", "tls", "state"
PAYLOADS = "payloads"


def write(folder: Path, files: Files, fault: Fault) -> str:
    """Make cloud and store in a folder that has the pushed file.

    Returns why the cloud's own check refuses that file, as reason codes; "" where it passes.
    """
    now, cloud = datetime.now(UTC), CloudFolder(folder / CLOUD)
    # One host, and no gates: a fault that the cloud holds back would show nothing of the host.
    key = create(cloud.path, folder / OPERATOR, now, IMMEDIATE)
    enrol(cloud, AGENT_ID, folder / TLS, now)
    present = fault.delivery is Delivery.PRESENT
    last = files.bad if present else files.before
    write_history(folder / STATE, [_facts(one) for one in _in_force(files, last)], key)
    if present:
        _damage(folder, last, fault)
        return ""
    with closing(Database.open(cloud.database)) as database:
        _push(folder / PUSHED, database, key)
    return refusal(folder / PUSHED)


def refusal(file: Path) -> str:
    """What the cloud's validator says of a file."""
    try:
        push.read_candidates([file], load_definitions(), unsafe=False)
    except PushRefusedError as error:
        reasons = [str(one.reason) for refused in error.files for one in refused.refusals]
        return ", ".join(dict.fromkeys(reasons))
    return ""


def _push(file: Path, database: Database, key: SigningKey) -> None:
    candidates = push.read_candidates([file], load_definitions(), unsafe=True)
    push.store(database, candidates, [key], time.time_ns(), unsafe=True)


def _in_force(files: Files, last: bytes) -> list[bytes]:
    """One after the other, as they were accepted."""
    return list(dict.fromkeys((files.canary, files.before, last)))


def _facts(payload: bytes) -> tuple[bytes, int, int]:
    """A payload with its Template Type and version."""
    file = load(payload)
    return payload, file.template_type.number, file.version


def _damage(folder: Path, payload: bytes, fault: Fault) -> None:
    """What a crash or a full disk has made of a payload that is in force."""
    path = folder / STATE / PAYLOADS / content_hash(payload).hex()
    path.write_bytes(fault.damage(path.read_bytes()))
