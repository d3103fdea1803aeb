"""What libvirt is told of a host that is to be repaired."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from lab.runners import rescue_xml

DESCRIBED = """<domain type='qemu'>
  <name>bulkhead-0-debian-12</name>
  <os><type>hvm</type><kernel>/boot/k</kernel><initrd>/boot/own</initrd>
    <cmdline>panic=1 quiet</cmdline></os>
  <on_reboot>restart</on_reboot><on_crash>restart</on_crash>
</domain>"""


def test_a_rescue_boots_another_medium_once() -> None:
    """The broken host would boot its own disk again, or the rescue would go on for ever."""
    told = ElementTree.XML(rescue_xml.with_medium(DESCRIBED, Path("/rescue")))
    assert told.findtext("os/initrd") == "/rescue"
    assert told.findtext("os/kernel") == "/boot/k"
    assert told.findtext("on_reboot") == "destroy"
    assert told.findtext("name") == "bulkhead-0-debian-12"


def test_a_host_without_our_kernel_can_not_be_rescued() -> None:
    """A host with a boot loader would be booted unrepaired, and taken for repaired."""
    with pytest.raises(ValueError, match="kernel"):
        rescue_xml.with_medium("<domain><os><type>hvm</type></os></domain>", Path("/rescue"))
