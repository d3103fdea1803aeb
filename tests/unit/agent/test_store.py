"""The store: what is read back is what was written, and whatever else lies there is not run."""

import hashlib
import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.lifecycle import State
from agent.supervisor.limits import LIMITS
from agent.supervisor.manifest import Manifest, Signature, StoredFile
from agent.supervisor.store import MANIFEST, MAX_MANIFEST_BYTES, PAYLOADS, Store, StoreError
from tests.unit.agent.descriptors import none_lost
from tests.unit.agent.power_cut import Call, recording

SIGNATURES = (Signature("d" * 64, "e" * 128),)


def trusting(_file: StoredFile, _payload: bytes) -> bool:
    """Every signature is good."""
    return True


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """A store that was opened without complaints."""
    store = Store(folder)
    try:
        assert store.open(trusting) == []
        yield store
    finally:
        store.close()


def put(store: Store, payload: bytes, version: int) -> StoredFile:
    """Store a payload and make it the accepted file of Template Type 1."""
    content_hash = hashlib.sha256(payload).hexdigest()
    file = StoredFile(content_hash, 1, version, SIGNATURES, State.ACTIVE)
    store.add_payload(content_hash, payload)
    store.commit(store.manifest.activate(file).accept([content_hash]))
    return file


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Writing beyond so many bytes of a file fails, as it does where a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_comes_back_after_a_restart(tmp_path: Path) -> None:
    """A restart would lose content, or its history."""
    with none_lost(), opened(tmp_path / "state") as store:
        first, second = put(store, b"one", 1), put(store, b"two", 2)
        manifest = store.manifest
    with opened(tmp_path / "state") as store:
        assert store.manifest == manifest
        assert store.payload(first.hash) == b"one"
        assert store.payload(second.hash) == b"two"


def test_folder_is_closed_to_others(tmp_path: Path) -> None:
    """Another user could read content, or put some there."""
    with opened(tmp_path / "state") as store:
        file = put(store, b"one", 1)
    modes = [path.stat().st_mode & 0o077 for path in (tmp_path / "state").iterdir()]
    assert modes == [0] * 3
    # The link passes through to a folder of its own.
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o711
    assert (tmp_path / "state" / PAYLOADS / file.hash).stat().st_mode & 0o777 == 0o600


def test_new_folder_is_as_durable_as_what_lies_in_it(tmp_path: Path) -> None:
    """A power cut on the first day would lose the whole folder."""
    calls: list[Call] = []
    with recording(tmp_path, calls):
        Store(tmp_path / "state").close()
    assert Call("fsync", tmp_path) in calls
    assert Call("fsync", tmp_path / "state") in calls


def test_wrong_payload_on_disk_is_left_out(tmp_path: Path) -> None:
    """A damaged payload would be run, or would stop the sensor from starting."""
    with opened(tmp_path) as store:
        good, bad = put(store, b"one", 1), put(store, b"two", 2)
    (tmp_path / PAYLOADS / bad.hash).write_bytes(b"not two")
    store = Store(tmp_path)
    said = store.open(trusting)
    store.close()
    assert len(said) == 1
    assert str(tmp_path / PAYLOADS / bad.hash) in said[0]
    assert store.manifest.active[1].hash == good.hash
    assert store.manifest.active[1].state is State.ACCEPTED


def test_missing_payloads_leave_nothing(tmp_path: Path) -> None:
    """A version whose payload is gone would be put in force."""
    with opened(tmp_path) as store:
        files = [put(store, b"one", 1), put(store, b"two", 2)]
    (tmp_path / PAYLOADS / files[0].hash).unlink()
    (tmp_path / PAYLOADS / files[1].hash).unlink()
    (tmp_path / PAYLOADS / files[1].hash).mkdir()
    store = Store(tmp_path)
    said = store.open(trusting)
    store.close()
    assert len(said) == 2
    assert store.manifest.hashes() == frozenset()


def test_bad_signature_on_disk_is_left_out(tmp_path: Path) -> None:
    """Who can write to the disk while the sensor is down could bring content of their own."""
    with opened(tmp_path) as store:
        good, bad = put(store, b"one", 1), put(store, b"two", 2)
    store = Store(tmp_path)
    said = store.open(lambda file, payload: (file.version, payload) == (1, b"one"))
    store.close()
    assert "not signed" in said[0]
    assert bad.hash in said[0]
    assert store.manifest.active[1].hash == good.hash


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"null",
        b"[" * 100_000,
        b'{"format": 1}',
        b" " * (MAX_MANIFEST_BYTES + 1),
    ],
)
def test_damaged_manifest_is_kept_aside(tmp_path: Path, damage: bytes) -> None:
    """A damaged manifest would stop the sensor at every start, or be lost as evidence."""
    with opened(tmp_path) as store:
        put(store, b"one", 1)
    (tmp_path / MANIFEST).write_bytes(damage)
    store = Store(tmp_path)
    said = store.open(trusting)
    assert store.manifest == Manifest()
    assert len(said) == 1
    assert str(tmp_path / MANIFEST) in said[0]
    assert (tmp_path / "manifest.json.damaged").read_bytes() == damage
    put(store, b"three", 3)
    store.close()
    with opened(tmp_path) as store:
        assert store.manifest.active[1].version == 3


def test_manifest_that_is_no_file_is_a_clear_error(tmp_path: Path) -> None:
    """Whoever starts the sensor would see a traceback."""
    (tmp_path / "state" / MANIFEST).mkdir(parents=True)
    store = Store(tmp_path / "state")
    with pytest.raises(StoreError, match=MANIFEST):
        store.open(trusting)
    store.close()


def test_second_supervisor_is_refused(tmp_path: Path) -> None:
    """Two sensors on one folder would overwrite each other's manifest."""
    store = Store(tmp_path)
    with none_lost(), pytest.raises(StoreError, match=f"{tmp_path}: another agent is running"):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


def test_place_that_is_no_folder_is_a_clear_error(tmp_path: Path) -> None:
    """Whoever mistypes the state folder would see a traceback."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=str(tmp_path / "file")):
        Store(tmp_path / "file" / "state")


def test_full_disk_leaves_the_old_content(tmp_path: Path) -> None:
    """An update on a full disk would leave the host without content."""
    with opened(tmp_path) as store:
        old = put(store, b"one", 1)
        manifest = store.manifest
        payload = b"x" * 8192
        content_hash = hashlib.sha256(payload).hexdigest()
        with file_size_limit(4096), pytest.raises(OSError, match="too large"):
            store.add_payload(content_hash, payload)
        with file_size_limit(64), pytest.raises(OSError, match="too large"):
            store.commit(Manifest())
        assert store.manifest == manifest
    assert sorted(path.name for path in (tmp_path / PAYLOADS).iterdir()) == [old.hash]
    with opened(tmp_path) as store:
        assert store.manifest == manifest


def test_unneeded_payloads_go_and_needed_ones_stay(tmp_path: Path) -> None:
    """The folder would grow for ever, or a file on trial be deleted under it."""
    with opened(tmp_path) as store:
        for name in ("waiting", "leftover"):
            store.add_payload(hashlib.sha256(name.encode()).hexdigest(), name.encode())
        waiting = hashlib.sha256(b"waiting").hexdigest()
        store.commit(Manifest(), keep=frozenset({waiting}))
        assert [path.name for path in (tmp_path / PAYLOADS).iterdir()] == [waiting]


def test_what_can_not_be_tidied_up_does_not_undo_an_update(tmp_path: Path) -> None:
    """A file would count as refused though the manifest on disk has it in force."""
    with opened(tmp_path) as store:
        (tmp_path / PAYLOADS / "a folder").mkdir()
        put(store, b"one", 1)
    with opened(tmp_path) as store:
        assert store.manifest.active[1].version == 1


def test_payload_is_checked_and_capped_whenever_it_is_read(tmp_path: Path) -> None:
    """A payload that changed since the start would be run, or fill the memory."""
    with opened(tmp_path) as store:
        file = put(store, b"one", 1)
        path = tmp_path / PAYLOADS / file.hash
        path.write_bytes(b"two")
        with pytest.raises(StoreError, match=file.hash):
            store.payload(file.hash)
        os.truncate(path, LIMITS.payload_bytes * 100)
        with pytest.raises(StoreError, match=file.hash):
            store.payload(file.hash)
        path.unlink()
        with pytest.raises(StoreError, match="No such file"):
            store.payload(file.hash)


def test_manifest_on_disk_is_json_of_its_documents(tmp_path: Path) -> None:
    """An operator could not read what is in force while the sensor is down."""
    with opened(tmp_path) as store:
        file = put(store, b"one", 1)
    document = json.loads((tmp_path / MANIFEST).read_bytes())
    assert document["active"][0]["hash"] == file.hash
    assert document["active"][0]["state"] == "accepted"
