"""Every limit of virtual machines, with its unit."""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class VmLimits:
    """Sizes of guests and images, and how long anything may take."""

    memory_mebibytes: int = 2048
    processors: int = 2
    # Seconds until a guest has its file systems mounted, on a processor of its own.
    boot_seconds: float = 30.0
    # Seconds for a tiny guest that shows whether an accelerator works.
    probe_seconds: float = 20.0
    # Seconds between two looks at a running guest.
    look_seconds: float = 0.1
    # Seconds for QEMU to end once it was told to.
    end_seconds: float = 10.0
    # Room in an image beyond what is put into it: a share, and MiB.
    image_spare_share: float = 0.25
    image_spare_mebibytes: int = 64
    # Seconds for one command that builds (mmdebstrap is the longest: half a minute when idle).
    build_seconds: float = 1800.0
    # Bytes read of what a guest wrote: results, and the tail of its console.
    results_bytes: int = 16 * MEBIBYTE
    console_tail_bytes: int = 4096


LIMITS = VmLimits()
