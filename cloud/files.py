"""Files of the cloud's folders: read with a cap, replaced whole, keys readable by nobody else."""

import os
import stat
from pathlib import Path

from cloud.errors import CloudReason, FolderError

PRIVATE_FILE = 0o600
PUBLIC_FILE = 0o644
PRIVATE_FOLDER = 0o700


def read_capped(path: Path, limit: int) -> bytes:
    """At most `limit` + 1 bytes of a regular file: longer than `limit` means that it is too large.

    Raises FolderError for a file that is missing, not a regular file, or unreadable.
    """
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FolderError(CloudReason.FILE_UNREADABLE, f"{path}: expected a regular file")
            return file.read(limit + 1)
    except OSError as error:
        raise FolderError(CloudReason.FILE_UNREADABLE, f"{path}: {error.strerror}") from error


def write_whole(path: Path, data: bytes, mode: int = PUBLIC_FILE) -> None:
    """Replace a file so that a crash leaves the old or the new one, never a part.

    Raises FolderError where the file system refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise FolderError(CloudReason.FILE_UNWRITABLE, f"{path}: {error.strerror}") from error


def make_private_folder(path: Path) -> None:
    """Make a folder that only its owner can enter; FolderError where that fails."""
    try:
        path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(CloudReason.FILE_UNWRITABLE, f"{path}: {error.strerror}") from error


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
