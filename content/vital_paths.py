"""Programs without which a host neither boots nor lets anybody in to repair it.

No content may prevent them by what they are: `content.vital_programs` refuses an instance that
would stop one as it is ordinarily started, and the supervisor takes none of these paths into the
kernel's table, whoever asks for it. A single process of theirs that does something bad (a shell
with certain arguments) can still be stopped by a verdict; only those of `INITIAL` never are.

Standard library only: the supervisor imports it.
"""

import posixpath

FOLDERS = ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
"""Where a program may lie: with /bin merged into /usr/bin, one has two names."""

MANAGER_FOLDERS = ("/lib/systemd", "/usr/lib/systemd")
"""Everything in them belongs to the manager of all services."""

STARTING = (
    "init systemd systemctl mount umount fsck modprobe kmod udevadm switch_root ip dbus-daemon"
)
SHELLS = "sh bash dash busybox env"
LOGGING_IN = "login agetty getty sshd su sudo passwd"
REPAIRING = "cat chmod chown cp id kill ln ls mkdir mv ps reboot rm dpkg apt apt-get rpm dnf"
INTERPRETERS = "python3 python3.11 bulkhead"
"""The sensor's own, which nobody could start again."""

NAMES = tuple(f"{STARTING} {SHELLS} {LOGGING_IN} {REPAIRING} {INTERPRETERS}".split())

OTHERS = (
    "/init",
    *(f"{folder}/systemd" for folder in MANAGER_FOLDERS),
    *(f"{folder}/systemd-udevd" for folder in MANAGER_FOLDERS),
    *(f"{folder}/systemd-logind" for folder in MANAGER_FOLDERS),
    *(f"{folder}/systemd-journald" for folder in MANAGER_FOLDERS),
    "/usr/lib/openssh/sshd-session",
)

PATHS = frozenset({f"{folder}/{name}" for folder in FOLDERS for name in NAMES} | set(OTHERS))
"""All of them."""

INITIAL = frozenset(f"{folder}/init" for folder in ("", *FOLDERS))
"""What the first process of a host, or of a container, is called, beside the manager's folder."""


def is_vital(path: str) -> bool:
    """Whether this absolute path is, as it is written, one that nobody may prevent."""
    plain = posixpath.normpath(path)
    return plain in PATHS or _is_of_manager(plain)


def is_initial(path: str) -> bool:
    """Whether a process that runs this file may never be stopped, whatever it does."""
    return path in INITIAL or _is_of_manager(path)


def _is_of_manager(path: str) -> bool:
    return path.startswith(tuple(f"{folder}/" for folder in MANAGER_FOLDERS))
