"""A host's description for libvirt, changed for one boot. Pure.

A boot of a cell ends where its kernel restarts: whoever watches starts the host again, as firmware
would, and knows where one boot ends and the next begins.
"""

from pathlib import Path
from xml.etree import ElementTree

from lab.vm.machine import KERNEL_ARGUMENTS

ENDS = ("on_reboot", "on_crash", "on_poweroff")


def for_one_boot(described: str, word: str) -> str:
    """The host as it is, with one more word for its kernel.

    ValueError where the host boots no kernel that libvirt is given.
    """
    domain = _ending(described)
    cmdline = _part(domain, "cmdline")
    cmdline.text = f"{cmdline.text or ''} {word}".strip()
    return ElementTree.tostring(domain, encoding="unicode")


def from_medium(described: str, medium: Path) -> str:
    """The host, started from another first file system; ValueError as above."""
    domain = _ending(described)
    _part(domain, "initrd").text = str(medium)
    _part(domain, "cmdline").text = KERNEL_ARGUMENTS
    return ElementTree.tostring(domain, encoding="unicode")


def _ending(described: str) -> ElementTree.Element:
    domain = ElementTree.XML(described)
    for name in ENDS:
        element = domain.find(name)
        if element is None:
            element = ElementTree.SubElement(domain, name)
        element.text = "destroy"
    return domain


def _part(domain: ElementTree.Element, name: str) -> ElementTree.Element:
    part = domain.find(f"os/{name}")
    if part is None:
        raise ValueError(f"os/{name}: missing: the host boots no kernel that libvirt is given")
    return part
