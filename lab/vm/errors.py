"""Why a virtual machine can't be built or started, with stable reason codes.

How a guest ended is no error but an `Outcome` (machine.py).
"""

from enum import StrEnum


class VmReason(StrEnum):
    """What is in the way."""

    TOOL_MISSING = "TOOL_MISSING"
    ARCHIVE_UNKNOWN = "ARCHIVE_UNKNOWN"
    ARCHIVE_UNREACHABLE = "ARCHIVE_UNREACHABLE"
    PACKAGE_MISSING = "PACKAGE_MISSING"
    KERNEL_INCOMPLETE = "KERNEL_INCOMPLETE"
    BUSY = "BUSY"
    BUILD_FAILED = "BUILD_FAILED"
    GUEST_FAILED = "GUEST_FAILED"
    ARCHITECTURE_UNSUPPORTED = "ARCHITECTURE_UNSUPPORTED"


class VmError(Exception):
    """No virtual machine; `reason` says why, the message says what was found."""

    def __init__(self, reason: VmReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
