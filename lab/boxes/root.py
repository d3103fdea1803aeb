"""The root file system of a box, as a folder.

1. mmdebstrap installs Debian packages; in the same file system, before it is closed, set-up makes
   the sensor's environment at the place where hosts have the checkout, from packages in a folder.
2. The user that Vagrant comes as, networks by DHCP, and what makes each copy a host of its own.
3. The modules of the kernel that the box is started with.
"""

import shutil
from pathlib import Path

from lab.boxes import wheels
from lab.boxes.model import CHECKOUT, Box
from lab.kernel_matrix.guest import NOT_GIVEN
from lab.vm import commands
from lab.vm.debian import Mirrors, source_lines
from lab.vm.errors import VmError, VmReason
from lab.vm.image import NAMESPACES
from scripts.machine.packages import NEEDED

PLACE = Path("/srv/bulkhead")
"""Where hosts have the checkout."""

WHEELS = Path("/srv/wheels")
HOST_PACKAGES = (
    *("dbus", "e2fsprogs", "iproute2", "kmod", "mount", "openssh-server", "passwd", "procps"),
    *("python3", "rsync", "sudo", "systemd", "systemd-sysv", "udev"),
)
PACKAGES = tuple(sorted({*HOST_PACKAGES, *(one.name for one in NEEDED)}))

VAGRANT_KEY = "vagrant.pub"
"""Public on purpose: Vagrant replaces it by one of its own when a host is first started."""

PREPARE = """set -eu
useradd --create-home --shell /bin/bash vagrant
install -d -m 0700 -o vagrant -g vagrant /home/vagrant/.ssh
install -m 0600 -o vagrant -g vagrant /srv/vagrant.pub /home/vagrant/.ssh/authorized_keys
systemctl enable --quiet ssh.service systemd-networkd.service systemd-network-generator.service
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
  e2scrub_all.timer
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb \
  PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/wheels UV_OFFLINE=1 /srv/bulkhead/scripts/setup
rm -rf /srv/wheels /srv/vagrant.pub /srv/prepare /root/.cache /etc/ssh/ssh_host_*_key*
# Nothing is to be brought up to date at the first boot.
touch /etc/.updated /var/.updated
"""
"""What is done in the file system itself."""

FILES = {
    "etc/sudoers.d/vagrant": "vagrant ALL=(ALL) NOPASSWD: ALL\n",
    "etc/systemd/network/80-dhcp.network": "[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\n",
    "etc/systemd/system/ssh.service.d/own-key.conf": (
        "# Each host makes a key of its own when it is first started.\n"
        "[Service]\n"
        "ExecStartPre=\n"
        "ExecStartPre=/bin/sh -c '[ -e /etc/ssh/ssh_host_ed25519_key ] || "
        'ssh-keygen -q -N "" -t ed25519 -f /etc/ssh/ssh_host_ed25519_key\'\n'
        "ExecStartPre=/usr/sbin/sshd -t\n"
    ),
    "etc/fstab": "/dev/vda / ext4 defaults 0 0\n",
    "etc/machine-id": "",
    "etc/hostname": "bulkhead-host\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 bulkhead-host\n",
}


def build(box: Box, mirrors: Mirrors, scratch: Path, modules: Path) -> Path:
    """Make it in a scratch folder; its path.

    modules: the folder of the kernel's modules, named by the kernel's version.
    """
    # mmdebstrap's helpers run as another user in some modes and must be able to pass.
    scratch.chmod(0o755)
    given = _given(scratch / "srv", box.user_space)
    root = scratch / "root"
    wanted = ["--quiet", "--variant=essential", f"--include={','.join(PACKAGES)}"]
    hooks = [f"--customize-hook=copy-in {given} /", '--customize-hook=chroot "$1" sh /srv/prepare']
    sources = source_lines(mirrors, box.user_space)
    made = ("mmdebstrap", *wanted, *hooks, box.user_space, str(root), *sources)
    commands.run(VmReason.BUILD_FAILED, "unshare", *NAMESPACES, *made)
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    place = root / "usr" / "lib" / "modules" / modules.name
    place.parent.mkdir(exist_ok=True)
    shutil.copytree(modules, place, symlinks=True)
    commands.run(VmReason.BUILD_FAILED, "depmod", "--basedir", root, modules.name)
    return root


def inputs(box: Box) -> list[object]:
    """What a box is made from, as far as this checkout decides it."""
    return [box.user_space, box.kernel, PACKAGES, FILES, PREPARE, wheels.locks_text()]


def _given(folder: Path, release: str) -> Path:
    folder.mkdir()
    ignored = shutil.ignore_patterns(*NOT_GIVEN)
    shutil.copytree(CHECKOUT, folder / PLACE.name, symlinks=True, ignore=ignored)
    (folder / PLACE.name).chmod(0o755)
    shutil.copytree(wheels.folder_of(release), folder / WHEELS.name)
    shutil.copy(_vagrant_key(), folder / VAGRANT_KEY)
    (folder / "prepare").write_text(PREPARE, encoding="utf-8")
    return folder


def _vagrant_key() -> Path:
    """The key that Vagrant comes with first, as Debian's package has it."""
    listed = commands.run(VmReason.TOOL_MISSING, "dpkg-query", "--listfiles", "vagrant")
    found = [line for line in listed.splitlines() if line.endswith(f"/keys/{VAGRANT_KEY}")]
    if not found:
        raise VmError(VmReason.TOOL_MISSING, f"the package vagrant has no file keys/{VAGRANT_KEY}")
    return Path(found[0])
