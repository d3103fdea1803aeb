"""What is left of a checkout's hosts is found by name; nobody else's is."""

from pathlib import Path

import pytest

from scripts.machine import libvirt

OURS, OTHERS = Path("/srv/ours"), Path("/srv/others")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place that stands for libvirt's folders and for Vagrant's home."""
    monkeypatch.setattr(libvirt, "FOLDERS", (str(tmp_path / "libvirt"),))
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    return tmp_path


def test_only_this_checkouts_definitions_and_boxes_are_found(folders: Path) -> None:
    """Cleaning would destroy another user's hosts, or leave ours and call it clean."""
    found = []
    for checkout in (OURS, OTHERS):
        name = libvirt.prefix(checkout)
        for path in (
            folders / "libvirt" / "qemu" / f"{name}-debian-12.xml",
            folders / "libvirt" / "qemu" / "networks" / f"{name}-reach.xml",
            folders / "home" / "boxes" / f"{name}-debian-12-0" / "metadata.json",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("", encoding="utf-8")
            found.append(path if path.suffix == ".xml" else path.parent)
    assert libvirt.left(OURS) == [*sorted(map(str, found[:2])), str(found[2])]


def test_a_folder_is_told_once(folders: Path) -> None:
    """A folder would be removed before what lies in it, which then can't be."""
    pool = folders / "libvirt" / "images" / libvirt.prefix(OURS)
    pool.mkdir(parents=True)
    (pool / f"{libvirt.prefix(OURS)}-debian-12.img").write_text("", encoding="utf-8")
    assert libvirt.left(OURS) == [str(pool)]
    libvirt._delete(pool)
    assert libvirt.left(OURS) == []
