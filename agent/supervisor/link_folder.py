"""The link's folder, and beside it a copy of what it may read of the operator's files.

The operator's files stay readable by root alone; the link, which has no right to open them, gets
copies that its group may read. They lie in a folder of ours, where the link can change nothing: so
nothing is ever written through what it put there, and no right is needed to write into a folder of
another's, which the service does not have (CAP_DAC_OVERRIDE). Symbolic links are not followed,
sizes are capped.
"""

import os
from pathlib import Path

from agent import own_files

FILES = ("ca.pem", "agent.pem", "agent.key", "root.json")
COPIES = "link-tls"
MAX_BYTES = 64 * 1024


class LinkFolderError(Exception):
    """A file that the link needs is missing or not fit; names it."""


def prepare(folder: Path, tls: Path | None, owner: tuple[int, int] | None) -> Path | None:
    """Make the folder for its owner (user and group id); returns where the certificates are."""
    _make(folder)
    if owner is not None:
        os.chown(folder, *owner, follow_symlinks=False)
    if tls is None:
        return None
    target = folder.parent / COPIES
    _make(target)
    if owner is not None:
        os.chown(target, -1, owner[1], follow_symlinks=False)
        target.chmod(0o750)
    for name in FILES:
        _copy(tls / name, target / name, owner)
    return target


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LinkFolderError(f"{folder}: {error.strerror}; expected a folder of ours") from error
    if folder.is_symlink():
        raise LinkFolderError(f"{folder}: a symbolic link; expected a folder of ours")


def _copy(source: Path, target: Path, owner: tuple[int, int] | None) -> None:
    try:
        data = own_files.read(source, MAX_BYTES + 1)
    except OSError as error:
        raise LinkFolderError(
            f"{source}: {error.strerror}; expected it as `cloud enroll` writes it"
        ) from error
    if len(data) > MAX_BYTES:
        raise LinkFolderError(
            f"{source}: larger than {MAX_BYTES} bytes; expected it as `cloud enroll` writes it"
        )
    target.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o440), "wb") as copy:
        copy.write(data)
        os.fchmod(copy.fileno(), 0o440)  # whatever the mask is
        if owner is not None:
            os.fchown(copy.fileno(), -1, owner[1])
