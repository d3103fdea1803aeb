"""Where a process is and whose login it belongs to, from a folder that looks like /proc."""

from pathlib import Path

import pytest

from probes.surroundings import Surroundings, read_surroundings

PID = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a process in a container, which nobody has logged in to."""
    folder = tmp_path / str(PID)
    folder.mkdir()
    (folder / "cwd").symlink_to("/srv/work")
    (folder / "loginuid").write_text("4294967295")
    (folder / "sessionid").write_text("4294967295")
    (folder / "cgroup").write_bytes(b"4:memory:/other\n0::/system.slice/docker-0a.scope\n")
    return folder


def test_a_service(folder: Path) -> None:
    """If it failed, a service would seem to be somebody's, or in another place."""
    found = read_surroundings(PID, folder.parent)
    assert found == Surroundings(b"/srv/work", None, None, b"docker-0a.scope")


def test_a_login(folder: Path) -> None:
    """If it failed, nobody could tell who had logged in."""
    (folder / "loginuid").write_text("1000")
    (folder / "sessionid").write_text("7")
    found = read_surroundings(PID, folder.parent)
    assert (found.login_user_id, found.session_id) == (1000, 7)


def test_removed_folder(folder: Path) -> None:
    """If it failed, this rung would show another path than the kernel's records."""
    (folder / "cwd").unlink()
    (folder / "cwd").symlink_to("/srv/work (deleted)")
    assert read_surroundings(PID, folder.parent).current_directory == b"/srv/work"


@pytest.mark.parametrize(
    ("text", "name"),
    [(b"0::/\n", b""), (b"1:name=systemd:/x\n", None), (b"", None), (b"0::/a/b\xff\n", b"b\xff")],
)
def test_control_group(folder: Path, text: bytes, name: bytes | None) -> None:
    """If it failed, a version 1 hierarchy would be taken for the unified one."""
    (folder / "cgroup").write_bytes(text)
    assert read_surroundings(PID, folder.parent).cgroup_name == name


def test_what_can_not_be_read_is_none(tmp_path: Path) -> None:
    """If it failed, a process that is gone, or another user's, would end the collector."""
    assert read_surroundings(PID, tmp_path) == Surroundings(None, None, None, None)
