"""What can go wrong while events are collected, with stable reason codes.

`ProbeError` is the root of the package. Its `reason` is one of `ProbeReason`; codes are never
renamed or reused, because the supervisor reports them to the cloud.
"""

from enum import StrEnum


class ProbeReason(StrEnum):
    """Why a rung can't be used, or a ring not be read."""

    # The machine
    BTF_MISSING = "BTF_MISSING"
    BTF_INVALID = "BTF_INVALID"
    BTF_MEMBER_MISSING = "BTF_MEMBER_MISSING"
    TRACEFS_UNAVAILABLE = "TRACEFS_UNAVAILABLE"
    TRACEPOINT_MISSING = "TRACEPOINT_MISSING"
    CONNECTOR_MISSING = "CONNECTOR_MISSING"
    BCC_MISSING = "BCC_MISSING"
    PSUTIL_MISSING = "PSUTIL_MISSING"
    NOT_PERMITTED = "NOT_PERMITTED"
    # The programs
    LAYOUT_MISMATCH = "LAYOUT_MISMATCH"
    SUPPLY_MISMATCH = "SUPPLY_MISMATCH"
    COMPILE_FAILED = "COMPILE_FAILED"
    VERIFIER_REFUSED = "VERIFIER_REFUSED"
    ATTACH_FAILED = "ATTACH_FAILED"
    RUNG_NOT_SUPPORTED = "RUNG_NOT_SUPPORTED"
    # Processes that ran already
    TEST_RUN_REFUSED = "TEST_RUN_REFUSED"
    # Joining a collection
    SHARED_MAPS_UNEXPECTED = "SHARED_MAPS_UNEXPECTED"
    SHARED_MAP_MISMATCH = "SHARED_MAP_MISMATCH"
    # The rings
    RING_CORRUPT = "RING_CORRUPT"
    RING_OVERRUN = "RING_OVERRUN"


class ProbeError(Exception):
    """Events can't be collected or read; `reason` says why, the message says what was found."""

    def __init__(self, reason: ProbeReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RingCorruptError(ProbeError):
    """A ring holds something that is not a record of the expected size."""

    def __init__(self, detail: str) -> None:
        super().__init__(ProbeReason.RING_CORRUPT, detail)


class RingOverrunError(ProbeError):
    """A private cursor fell behind: its records were overwritten before it read them."""

    def __init__(self, detail: str) -> None:
        super().__init__(ProbeReason.RING_OVERRUN, detail)
