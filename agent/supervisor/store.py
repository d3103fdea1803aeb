"""The store: payloads by hash, and the manifest that says which of them are in force.

An update is: write the payload beside the others, then replace the manifest. Both are write →
fsync → rename → fsync of the folder, so that after a power cut at any point the manifest is the
old one or the new one and every payload that it names is there, whole. What is read back is
checked against its hash and its signature again; whatever fails is left out and said, never run.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from agent import own_files
from agent.own_files import NotOursError
from agent.supervisor.high_descriptors import moved_up
from agent.supervisor.limits import LIMITS
from agent.supervisor.manifest import Manifest, StoredFile
from agent.supervisor.manifest_document import ManifestError, from_document, to_document

MANIFEST = "manifest.json"
PAYLOADS = "payloads"
LOCK = "lock"
MAX_MANIFEST_BYTES = 4 * 1024 * 1024


class StoreError(Exception):
    """The store can't be used; names the path, what was found and what was expected."""


class Store:
    """The state folder of one supervisor, locked for as long as this object lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._payloads = folder / PAYLOADS
        try:
            if not self._payloads.is_dir():
                # Whatever the umask is.
                folder.mkdir(mode=0o711, parents=True, exist_ok=True)
                self._payloads.mkdir(mode=0o700, exist_ok=True)
                # A manifest is only as durable as the names of the folders that it lies in.
                _sync_folder(folder.parent)
                _sync_folder(folder)
            own_files.require_folder(self._payloads)
            # Others pass through to the link's folder, but read nothing here.
            folder.chmod(0o711)
            self._payloads.chmod(0o700)
            self._lock = os.open(folder / LOCK, _OURS | os.O_RDWR, 0o600)
        except OSError as error:
            raise StoreError(
                f"{error.filename}: {error.strerror}; expected a writable state folder"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            found = "another agent is running on this state folder"
            if not isinstance(error, BlockingIOError):
                found = f"{error.strerror}; expected a file system that can lock"
            raise StoreError(f"{folder}: {found}") from None
        self._lock = moved_up(self._lock)
        self.manifest = Manifest()

    def open(self, trusted: Callable[[StoredFile, bytes], bool]) -> list[str]:
        """Read the manifest back and check every payload that it names.

        trusted: whether the signature over a payload is good. Returns what had to be left out, in
        words; a damaged manifest is kept aside and the sensor starts with no content. StoreError
        where the folder can't be read or written at all.
        """
        try:
            return self._open(trusted)
        except OSError as error:
            place = error.filename or self.folder
            raise StoreError(f"{place}: {error.strerror}; expected our own file") from error

    def _open(self, trusted: Callable[[StoredFile, bytes], bool]) -> list[str]:
        self._remove_unfinished()
        try:
            self.manifest = self._read_manifest()
        except ManifestError as error:
            (self.folder / MANIFEST).replace(self.folder / (MANIFEST + ".damaged"))
            _sync_folder(self.folder)
            return [f"{self.folder / MANIFEST}: {error}; kept aside, starting with no content"]
        previous = [file for files in self.manifest.previous.values() for file in files]
        files = [*previous, *self.manifest.active.values()]
        damaged = [file for file in files if not self._whole(file, trusted)]
        return [self._leave_out(file) for file in damaged]

    def payload(self, content_hash: str) -> bytes:
        """The payload with that hash; StoreError if it is gone or not what its name says."""
        path = self._payloads / content_hash
        try:
            data = own_files.read(path, LIMITS.payload_bytes + 1)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != content_hash:
            raise StoreError(f"{path}: content does not have the hash that is its name")
        return data

    def add_payload(self, content_hash: str, data: bytes) -> None:
        """Keep a payload; it has no effect until a manifest names it."""
        _replace(self._payloads / content_hash, data)

    def commit(self, manifest: Manifest, keep: frozenset[str] = frozenset()) -> None:
        """Make a manifest the one in force, then drop payloads that nothing names any more.

        keep: hashes of payloads that wait for a manifest that will name them.
        """
        document = json.dumps(to_document(manifest), indent=1).encode()
        _replace(self.folder / MANIFEST, document)
        self.manifest = manifest
        self.tidy(keep)

    def tidy(self, keep: frozenset[str]) -> None:
        """Drop payloads that neither the manifest nor `keep` names.

        The manifest is in force already: what can't be tidied up now is tidied up next time.
        """
        wanted = self.manifest.hashes() | keep
        with contextlib.suppress(OSError):
            for path in self._stored():
                if path.name not in wanted:
                    path.unlink(missing_ok=True)

    def read_beside(self, name: str, limit: int) -> bytes | None:
        """A small file beside the manifest, at most `limit` bytes of it; None if there is none."""
        try:
            return own_files.read(self.folder / name, limit)
        except FileNotFoundError:
            return None

    def write_beside(self, name: str, data: bytes) -> None:
        """Replace such a file so that a crash leaves the old or the new one; may raise OSError."""
        _replace(self.folder / name, data)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._lock)

    def _read_manifest(self) -> Manifest:
        path = self.folder / MANIFEST
        try:
            data = own_files.read(path, MAX_MANIFEST_BYTES + 1)
        except FileNotFoundError:
            return Manifest()
        except NotOursError as error:
            raise ManifestError(str(error.strerror)) from error
        if len(data) > MAX_MANIFEST_BYTES:
            raise ManifestError(f"larger than {MAX_MANIFEST_BYTES} bytes")
        try:
            return from_document(json.loads(data))
        except (ValueError, RecursionError) as error:
            raise ManifestError("not JSON") from error

    def _whole(self, file: StoredFile, trusted: Callable[[StoredFile, bytes], bool]) -> bool:
        try:
            return trusted(file, self.payload(file.hash))
        except StoreError:
            return False

    def _leave_out(self, file: StoredFile) -> str:
        self.manifest = self.manifest.without(file.hash)
        return f"{self._payloads / file.hash}: missing, damaged or not signed; left out"

    def _stored(self) -> Iterator[Path]:
        return self._payloads.iterdir()

    def _remove_unfinished(self) -> None:
        for path in [*self._stored(), *self.folder.iterdir()]:
            if path.name.endswith(_UNFINISHED):
                path.unlink(missing_ok=True)


_UNFINISHED = ".new"
_OURS = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
"""In a folder to which nobody else can write."""


def _replace(path: Path, data: bytes) -> None:
    """Replace a file so that a crash leaves the old or the new one."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    descriptor = os.open(unfinished, _OURS | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    finally:
        os.close(descriptor)
    unfinished.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
