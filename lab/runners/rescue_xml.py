"""A host's description for libvirt, with another first file system to boot. Pure."""

from pathlib import Path
from xml.etree import ElementTree

from lab.vm.machine import KERNEL_ARGUMENTS


def with_medium(described: str, medium: Path) -> str:
    """The description of a host that boots its kernel with that medium, and ends when it is done.

    ValueError where the host boots no kernel of ours.
    """
    domain = ElementTree.fromstring(described)  # noqa: S314 - libvirt's own words
    parts = {name: domain.find(f"os/{name}") for name in ("initrd", "cmdline")}
    initrd, cmdline = parts["initrd"], parts["cmdline"]
    if initrd is None or cmdline is None:
        raise ValueError("the host is not started with a kernel that libvirt is given")
    initrd.text = str(medium)
    cmdline.text = KERNEL_ARGUMENTS
    for name in ("on_reboot", "on_crash"):
        ends = domain.find(name)
        if ends is not None:
            ends.text = "destroy"
    return ElementTree.tostring(domain, encoding="unicode")
