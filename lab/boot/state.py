"""What is on a guest's kept disk before its first boot: content in force, signed with our key.

`write_shipped` is the shipped content of the Template Types that boots are about.
`write_with_july_2024` has for ipc the content of July 2024, accepted, as if it had passed for good;
last known good before it are the four months of wildcards. Only the laboratory's unchecked
evaluator runs it, and it dies of it. `write_process` has the content that updates are of.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import content
from agent.lifecycle import State
from agent.supervisor.manifest import Manifest, Signature, StoredFile
from agent.supervisor.store import Store
from cloud.signing import SigningKey
from content.channel_file import content_hash, pack
from content.checking import read_all
from content.definitions import load_definitions
from content.model import ChannelFile
from lab import july19

SHIPPED = Path(content.__file__).parent / "instances"
FIRST_VERSION = 1
WILDCARDS_VERSION = 19
JULY_VERSION = 21
PROCESS = "process"


def shipped() -> list[ChannelFile]:
    """The shipped Channel Files of those Template Types."""
    checked = read_all(
        [SHIPPED / name for name in (PROCESS, july19.IPC)], load_definitions(), FIRST_VERSION
    )
    return [one.channel_file for one in checked.authored]


def process_content(version: int) -> ChannelFile:
    """The shipped Channel File of process events, which knows the canary."""
    number = next(one.number for one in load_definitions().values() if one.name == PROCESS)
    return next(
        replace(file, version=version) for file in shipped() if file.template_type.number == number
    )


def stored(payload: bytes, template_type: int, version: int, key: SigningKey) -> StoredFile:
    """What the sensor knows of a payload that has just passed its trial."""
    signature = key.sign_channel_file(payload)
    return StoredFile(
        hash=content_hash(payload).hex(),
        template_type=template_type,
        version=version,
        signatures=(Signature(signature.key_id, signature.signature.hex()),),
        state=State.ACTIVE,
    )


def write_shipped(folder: Path, key: SigningKey) -> None:
    """A state folder with shipped content, accepted."""
    write_history(folder, _shipped_payloads(), key)


def write_process(folder: Path, key: SigningKey) -> None:
    """A state folder with content for process events only, which every rung serves."""
    file = process_content(FIRST_VERSION)
    write_history(folder, [(pack(file), file.template_type.number, file.version)], key)


def write_with_july_2024(folder: Path, key: SigningKey) -> None:
    """The same, then the wildcards of four months, then the content of 19 July, all accepted."""
    types = load_definitions()
    ipc = next(one.number for one in types.values() if one.name == july19.IPC)
    files = [one for one in _shipped_payloads() if one[1] != ipc]
    for version, wildcard in ((WILDCARDS_VERSION, True), (JULY_VERSION, False)):
        files.append((july19.channel_file(types, version, wildcard=wildcard), ipc, version))
    write_history(folder, files, key)


def _shipped_payloads() -> list[tuple[bytes, int, int]]:
    return [(pack(one), one.template_type.number, one.version) for one in shipped()]


def write_history(folder: Path, files: list[tuple[bytes, int, int]], key: SigningKey) -> None:
    """A state folder in which these payloads were accepted: with Template Type and version."""
    store = Store(folder)
    try:
        for manifest, payload, content in _history(files, key):
            store.add_payload(content, payload)
            store.commit(manifest)
    finally:
        store.close()


def _history(
    files: list[tuple[bytes, int, int]], key: SigningKey
) -> Iterator[tuple[Manifest, bytes, str]]:
    manifest = Manifest()
    for payload, number, version in files:
        file = stored(payload, number, version, key)
        manifest = manifest.activate(file).accept([file.hash])
        yield manifest, payload, file.hash
