"""How a guest's processors are run: by the machine's own (KVM), or emulated (TCG)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accelerator:
    """QEMU's name, the processor that is shown, and how many times longer things may take."""

    name: str
    processor: str
    time_factor: float


KVM = Accelerator("kvm", "host", 1.0)
TCG = Accelerator("tcg", "max", 10.0)
"""On an idle machine an emulated processor is ten to twenty times slower, compilers more so."""
