"""How a guest is started, and how its end is judged from what it wrote."""

import lzma
from pathlib import Path

import pytest

from lab.vm.accelerator import TCG
from lab.vm.errors import VmError, VmReason
from lab.vm.image import Disk, image_mebibytes, used_bytes
from lab.vm.initramfs import Plan, disk_table
from lab.vm.kernel import Kernel, keep_what_boots, kept_kernel
from lab.vm.machine import Ending, Guest, command_line, ending_of, status_of

DISKS = (Disk(Path("/images/a,b.ext4"), "/"), Disk(Path("/images/c.ext4"), "/srv/checkout"))
KERNEL = Kernel("bookworm", "6.1.0-1", Path("/kernels/vmlinuz-6.1.0-1"), ())
BOOTED = ["guest: ready"]


def test_guest_has_no_network_and_changes_no_disk() -> None:
    """A test in a guest could reach the network, or spoil the image that the next one starts on."""
    line = command_line(Guest(KERNEL, Plan(DISKS), TCG), Path("/run/i.cpio"), Path("/run"))
    assert "-nodefaults" in line
    assert not {"-nic", "-netdev", "-net", "-device"} & set(line)
    drives = [line[index + 1] for index, word in enumerate(line) if word == "-drive"]
    assert len(drives) == 2
    assert all("snapshot=on" in drive.split(",") for drive in drives)
    assert drives[0].startswith("file=/images/a,,b.ext4,")


def test_serial_ports_are_in_the_order_that_guests_rely_on() -> None:
    """Results would be looked for in the console."""
    line = command_line(Guest(KERNEL, Plan(()), TCG), Path("/run/i.cpio"), Path("/run"))
    ports = [line[index + 1] for index, word in enumerate(line) if word == "-serial"]
    assert ports == ["file:/run/console.log", "file:/run/results.log"]
    assert any("console=ttyS0" in word and "panic=-1" in word for word in line)


def test_disks_are_named_in_the_order_of_drives() -> None:
    """A guest would mount its sources as root."""
    assert disk_table(DISKS) == "/dev/vda /\n/dev/vdb /srv/checkout\n"


@pytest.mark.parametrize(
    ("lines", "console", "ended_itself", "ending"),
    [
        ([*BOOTED, "guest: status 0"], "", True, Ending.FINISHED),
        # Turning a guest off may take longer than it is given: its command had ended.
        ([*BOOTED, "guest: status 1"], "", False, Ending.FINISHED),
        (BOOTED, "[ 1.0] Kernel panic - not syncing: Fatal exception", True, Ending.PANICKED),
        ([], "[ 0.1] Kernel panic - not syncing: VFS", True, Ending.PANICKED),
        ([], "", False, Ending.NOT_BOOTED),
        (["guest: failed: no disk /dev/vda"], "", True, Ending.NOT_BOOTED),
        (BOOTED, "", False, Ending.TIMED_OUT),
        (BOOTED, "", True, Ending.DIED),
        ([*BOOTED, "guest: status"], "", True, Ending.DIED),
    ],
)
def test_endings(lines: list[str], console: str, *, ended_itself: bool, ending: Ending) -> None:
    """A panic or a hang would pass for the end of the tests."""
    assert ending_of(lines, console, ended_itself=ended_itself) is ending


def test_status_is_the_last_one_said() -> None:
    """What a command prints could be taken for its exit status."""
    assert status_of(["guest: status 0", "x", "guest: status 7"]) == 7
    assert status_of(["x"]) is None


def test_kernel_is_taken_out_of_a_package_with_modules_in_order(tmp_path: Path) -> None:
    """A guest would not find its disks: module missing, compressed or loaded before its needs."""
    content, ready = tmp_path / "content", tmp_path / "ready"
    (content / "boot").mkdir(parents=True)
    (content / "boot" / "vmlinuz-6.12.1").write_bytes(b"kernel")
    drivers = content / "usr" / "lib" / "modules" / "6.12.1" / "drivers"
    drivers.mkdir(parents=True)
    disk = b"\0license=GPL\0depends=virtio_ring,virtio\0name=virtio_blk\0"
    ring = b"\0depends=virtio\0"
    bus = b"\0depends=\0"
    (drivers / "virtio_blk.ko.xz").write_bytes(lzma.compress(disk))
    (drivers / "virtio_ring.ko").write_bytes(ring)
    (drivers / "virtio.ko").write_bytes(bus)
    (drivers / "virtio_net.ko").write_bytes(b"other")
    keep_what_boots(content, ready)
    kernel = kept_kernel("trixie", ready)
    assert kernel.version == "6.12.1"
    assert kernel.image.read_bytes() == b"kernel"
    assert [module.read_bytes() for module in kernel.modules] == [bus, ring, disk]


def test_package_without_a_kernel_is_refused(tmp_path: Path) -> None:
    """A metapackage, or another layout of packages, would end in a traceback."""
    with pytest.raises(VmError) as refusal:
        keep_what_boots(tmp_path, tmp_path / "ready")
    assert refusal.value.reason is VmReason.KERNEL_INCOMPLETE


def test_image_has_room_for_many_small_files(tmp_path: Path) -> None:
    """Mkfs would run out of blocks: a file of one byte takes a whole one."""
    for index in range(100):
        (tmp_path / str(index)).write_bytes(b"x")
    assert used_bytes(tmp_path) >= 100 * 4096
    assert image_mebibytes(used_bytes(tmp_path)) * 1024 * 1024 > used_bytes(tmp_path)
