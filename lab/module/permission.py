"""Where the module may be built and loaded: in a guest of the laboratory, and nowhere else.

A guest of the laboratory is a virtual machine whose kernel was started with a word that says that
nobody misses it. The module's Kbuild and the module itself ask for the same word, so that neither
depends on this check having been made.
"""

from enum import StrEnum
from pathlib import Path

WORD = "bulkhead.disposable"
"""On the kernel's command line."""

COMMAND_LINE = Path("/proc/cmdline")
VENDOR = Path("/sys/class/dmi/id/sys_vendor")
VIRTUAL = ("QEMU", "innotek GmbH", "Oracle Corporation")
"""Who makes a machine that is none: QEMU (KVM as well), VirtualBox."""


class ModuleReason(StrEnum):
    """Why there is no module."""

    NOT_A_LABORATORY_GUEST = "NOT_A_LABORATORY_GUEST"
    NOT_LOADED = "NOT_LOADED"
    BUILD_FAILED = "BUILD_FAILED"


class ModuleError(Exception):
    """The module can't be built or loaded; `reason` says why, the message what was found."""

    def __init__(self, reason: ModuleReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def require(command_line: Path = COMMAND_LINE, vendor: Path = VENDOR) -> None:
    """ModuleError (NOT_A_LABORATORY_GUEST) unless this kernel may be lost."""
    if WORD not in _text(command_line).split():
        raise ModuleError(
            ModuleReason.NOT_A_LABORATORY_GUEST,
            f"{command_line}: expected {WORD}: modules of the laboratory are for its guests only",
        )
    found = _text(vendor).strip()
    if found not in VIRTUAL:
        raise ModuleError(
            ModuleReason.NOT_A_LABORATORY_GUEST,
            f"{vendor}: {found!r:.60}, expected a virtual machine ({', '.join(VIRTUAL)})",
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="backslashreplace")
    except OSError:
        return ""
