"""What `make clean` proves to be gone it would find if it were there."""

from pathlib import Path

from scripts.machine.leftovers import made_here, mounts, named

MOUNTINFO = """\
22 28 0:20 / /proc rw - proc proc rw
31 28 0:27 / /sys/fs/bpf rw - bpf bpf rw
40 28 0:40 / {checkout}/build/root rw - tmpfs tmpfs rw
41 28 0:41 / /run/bulkhead/trial rw - tmpfs tmpfs rw
42 28 0:42 / {checkout}-of-another/build rw - tmpfs tmpfs rw
"""


def test_mounts_in_the_checkout_and_with_our_name_are_found(tmp_path: Path) -> None:
    """A scratch mount would outlive the sensor unseen."""
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTINFO.format(checkout="/srv/checkout"), encoding="utf-8")
    expected = ["/srv/checkout/build/root", "/run/bulkhead/trial"]
    assert mounts(Path("/srv/checkout"), table) == expected


def test_named_places_are_found_and_absent_ones_are_no_error(tmp_path: Path) -> None:
    """A pinned map would keep a program attached unseen, or a kernel without BPF stop the check."""
    (tmp_path / "bulkhead-rings").mkdir()
    (tmp_path / "other").mkdir()
    assert named(tmp_path, "bulkhead*") == [str(tmp_path / "bulkhead-rings")]
    assert named(tmp_path / "absent", "bulkhead*") == []


def test_caches_and_a_link_that_leads_nowhere_are_found(tmp_path: Path) -> None:
    """`make clean` would leave them and say that it left nothing."""
    cache = tmp_path / "content" / "matching" / "__pycache__"
    cache.mkdir(parents=True)
    (tmp_path / ".venv").symlink_to(tmp_path / "gone")
    assert made_here(tmp_path) == [tmp_path / ".venv", cache]
