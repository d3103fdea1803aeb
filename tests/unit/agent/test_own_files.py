"""Files that somebody else put there, or can change, are not ours: named, and never followed."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import own_files
from agent.own_files import NotOursError, read, require_folder
from agent.supervisor.control import ControlError, ControlSocket
from agent.supervisor.link_folder import LinkFolderError, prepare
from agent.supervisor.signature import TrustedKey, TrustError
from agent.supervisor.store import MANIFEST, Store, StoreError
from tests.needs import require_root
from tests.unit.agent.descriptors import none_lost

NOBODY = 65534
SECRET = b"secret"


@pytest.fixture(params=["openat2", "walk"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """With openat2, and as on a kernel before 5.6."""

    def missing(*_arguments: Any) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    if request.param == "walk":
        monkeypatch.setattr(own_files, "_openat2", missing)
    with none_lost():
        yield request.param


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of ours, with a folder and a file of ours in it."""
    (tmp_path / "ours").mkdir(mode=0o700)
    (tmp_path / "ours" / "file").write_bytes(SECRET)
    return tmp_path / "ours"


def test_what_is_ours_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sensor would not find its own content."""
    assert read(folder / "file", 3) == SECRET[:3]
    assert read(folder / ".." / "ours" / "file", 99) == SECRET
    monkeypatch.chdir(folder)
    assert read(Path("file"), 99) == SECRET
    require_folder(folder)
    with pytest.raises(FileNotFoundError, match="none"):
        read(folder / "none", 1)
    with pytest.raises(NotADirectoryError):
        read(folder / "file" / "none", 1)


@pytest.mark.parametrize("place", ["last", "in the middle", "dangling"])
def test_a_symbolic_link_is_not_followed(folder: Path, place: str) -> None:
    """Whoever can place a link would have the sensor read, or replace, any file of root's."""
    link = folder.parent / "link"
    link.symlink_to({"last": folder / "file", "in the middle": folder}.get(place, "nowhere"))
    path = link / "file" if place == "in the middle" else link
    with pytest.raises(NotOursError, match="symbolic link"):
        read(path, 1)
    with pytest.raises((NotOursError, NotADirectoryError)):
        require_folder(link)


def test_what_is_no_file_is_not_read(folder: Path) -> None:
    """A pipe would hold the supervisor up for ever."""
    os.mkfifo(folder / "pipe")
    for path in (folder / "pipe", folder):
        with pytest.raises(OSError, match="not a regular file"):
            read(path, 1)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_can_write_is_not_read(folder: Path, mode: int) -> None:
    """Another user could tell the sensor whom to trust."""
    (folder / "file").chmod(mode)
    with pytest.raises(NotOursError, match="lets others write"):
        read(folder / "file", 1)


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    """Another user could put a folder of theirs in the place of ours."""
    below = folder / "below"
    below.mkdir(mode=0o700)
    folder.chmod(mode)
    for one in (folder, below):
        with pytest.raises(NotOursError, match=f"mode {mode:o}"):
            require_folder(one)
    folder.chmod(mode | 0o1000)  # As /tmp: what is ours there stays ours.
    require_folder(below)


def test_what_belongs_to_another_is_not_ours(folder: Path) -> None:
    """A role that was taken over could leave files for the supervisor to believe."""
    require_root()
    os.chown(folder / "file", NOBODY, NOBODY)
    with pytest.raises(NotOursError, match=f"uid {NOBODY}"):
        read(folder / "file", 1)
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(NotOursError, match=f"uid {NOBODY}"):
        require_folder(folder)


def test_a_state_folder_of_others_is_refused(folder: Path) -> None:
    """Content and quarantine would be somebody else's to change."""
    folder.chmod(0o777)
    with pytest.raises(StoreError, match="lets others write"):
        Store(folder)
    folder.chmod(0o700)
    (folder.parent / "link").symlink_to(folder)
    with pytest.raises(StoreError, match="symbolic link"):
        Store(folder.parent / "link")


def test_a_manifest_that_is_a_link_is_kept_aside(folder: Path) -> None:
    """The quarantine would be what a file elsewhere says, and be lifted by changing that."""
    store = Store(folder)
    (folder / MANIFEST).symlink_to("elsewhere")
    (folder / "elsewhere").write_text("{}")
    (said,) = store.open(lambda *_: True)
    assert "symbolic link" in said
    assert (folder / f"{MANIFEST}.damaged").is_symlink()
    store.close()


@pytest.mark.parametrize("name", ["payloads/" + "f" * 64, "prevention"])
def test_files_of_the_store_are_not_followed(folder: Path, name: str) -> None:
    """A link among the payloads would be read as content, or as the policy."""
    store = Store(folder)
    (folder / name).symlink_to(folder / "file")
    with pytest.raises((StoreError, NotOursError), match="symbolic link"):
        _ = store.payload("f" * 64) if "/" in name else store.read_beside(name, 10)
    store.close()


def test_what_lies_in_the_way_of_a_write_is_not_written_to(folder: Path) -> None:
    """A link under the name of an unfinished file would have another file overwritten."""
    store = Store(folder)
    (folder / "policy.new").symlink_to(folder / "file")
    with pytest.raises(OSError, match="symbolic links"):
        store.write_beside("policy", b"x")
    assert (folder / "file").read_bytes() == SECRET
    store.close()


def test_a_key_that_others_can_write_is_not_trusted(folder: Path) -> None:
    """Another user could sign content for this sensor."""
    (folder / "file").chmod(0o666)
    with pytest.raises(TrustError, match="lets others write"):
        TrustedKey.from_file(folder / "file")


def test_certificates_that_others_can_write_are_not_copied(folder: Path) -> None:
    """Another user could name the cloud that this sensor obeys."""
    for name in ("ca.pem", "agent.pem", "agent.key"):
        (folder / name).write_bytes(b"x")
        (folder / name).chmod(0o666)
    with pytest.raises(LinkFolderError, match="lets others write"):
        prepare(folder / "link", folder, None)


def test_the_link_reads_its_copies_and_can_change_none(folder: Path) -> None:
    """A link that was taken over could plant what the supervisor, as root, would write through."""
    require_root()
    for name in ("ca.pem", "agent.pem", "agent.key", "root.json"):
        (folder / name).write_bytes(SECRET)
    for _ in range(2):  # another start finds what the first one left
        copies = prepare(folder / "link", folder, (NOBODY, NOBODY))
    assert copies is not None
    own = (folder / "link").stat()
    assert (own.st_uid, own.st_mode & 0o777) == (NOBODY, 0o700)
    for one, mode in ((copies, 0o750), (copies / "agent.key", 0o440)):
        found = one.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, NOBODY, mode)
    assert (copies / "agent.key").read_bytes() == SECRET


def test_the_control_socket_is_in_a_folder_of_ours(folder: Path) -> None:
    """Another user could put a socket of theirs in its place, and be told what an operator asks."""
    folder.chmod(0o777)
    with pytest.raises(ControlError, match="lets others write"):
        ControlSocket(folder / "control.sock", dict)
