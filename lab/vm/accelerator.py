"""How a guest's processors are run: by the machine's own (KVM), or emulated (TCG)."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Accelerator:
    """QEMU's name, the processor that is shown, and how many times longer things may take.

    options: further arguments of QEMU.
    """

    name: str
    processor: str
    time_factor: float
    options: tuple[str, ...] = ()


KVM = Accelerator("kvm", "host", 1.0)
TCG = Accelerator("tcg", "max", 10.0)
"""On an idle machine an emulated processor is ten to twenty times slower, compilers more so."""

COUNTED = replace(TCG, time_factor=60.0, options=("-icount", "shift=0,sleep=on"))
"""The same with a clock that counts: an instruction takes the guest a nanosecond, however long it
takes us. What is measured in there is measured on a processor of a thousand million instructions a
second, a slow one, and neither emulation nor the machine's other work is part of it. Waiting takes
as long as it takes here."""
