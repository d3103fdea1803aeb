"""Which accelerator really works here, found out by starting a tiny guest.

A machine may have /dev/kvm and yet run no guest (nested virtualisation): so a guest without disks
is started on the very kernel that is wanted, and has to say within seconds that it is there.
"""

from dataclasses import dataclass
from pathlib import Path

from lab.vm import cache, machine
from lab.vm.accelerator import KVM, TCG, Accelerator
from lab.vm.initramfs import Plan
from lab.vm.kernel import Kernel
from lab.vm.limits import LIMITS
from lab.vm.machine import Ending, Guest

DEVICE = Path("/dev/kvm")


@dataclass(frozen=True, slots=True)
class Choice:
    """An accelerator, and why it was taken."""

    accelerator: Accelerator
    because: str


def choose(kernel: Kernel, device: Path = DEVICE) -> Choice:
    """KVM if a tiny guest boots with it, else TCG."""
    if not device.exists():
        return Choice(TCG, f"there is no {device}")
    guest = Guest(kernel, Plan(disks=(), command="exit 0\n"), KVM)
    with cache.scratch() as folder:
        outcome = machine.run(guest, folder, LIMITS.probe_seconds)
    if outcome.ending is Ending.FINISHED:
        return Choice(KVM, f"a guest booted in {outcome.boot_seconds:.1f} s")
    words = outcome.console_tail.splitlines()
    last = f": {words[0].strip()}" if words else ""
    return Choice(TCG, f"a guest did not boot with KVM ({outcome.ending}){last}")
