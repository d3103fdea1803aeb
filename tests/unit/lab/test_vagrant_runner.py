"""What a host of Vagrant is told and given for a cell, and why there may be none."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from lab.boxes import registry
from lab.cells.finding import arms, faults
from lab.cells.runner import RunnerError
from lab.module.permission import WORD
from lab.runners import domain, vagrant
from lab.runners.vagrant import Given, VagrantRunner
from lab.runners.vagrant_host import VagrantHost
from lab.vm import commands
from lab.vm.accelerator import TCG
from lab.vm.errors import VmError, VmReason
from lab.vm.kernel import Kernel
from tests import needs

DESCRIBED = """<domain type='qemu'>
  <name>bulkhead-0-debian-12</name>
  <os><type>hvm</type><kernel>/boot/k</kernel><initrd>/boot/own</initrd>
    <cmdline>panic=1 quiet</cmdline></os>
  <on_reboot>restart</on_reboot>
</domain>"""


def test_a_boot_of_a_cell_ends_where_the_kernel_restarts() -> None:
    """Boots would run into each other, and panics could not be counted."""
    told = ElementTree.XML(domain.for_one_boot(DESCRIBED, WORD))
    assert [told.findtext(name) for name in domain.ENDS] == ["destroy"] * 3
    assert told.findtext("os/cmdline") == f"panic=1 quiet {WORD}"
    assert told.findtext("os/initrd") == "/boot/own"


def test_a_rescue_boots_another_medium() -> None:
    """The broken host would boot its own disk again."""
    told = ElementTree.XML(domain.from_medium(DESCRIBED, Path("/medium")))
    assert told.findtext("os/initrd") == "/medium"
    assert told.findtext("os/kernel") == "/boot/k"
    assert told.findtext("name") == "bulkhead-0-debian-12"


def test_a_host_with_a_boot_loader_can_not_be_rescued() -> None:
    """It would be booted unrepaired, and taken for repaired."""
    with pytest.raises(ValueError, match=r"os/initrd: missing"):
        domain.from_medium("<domain><os><type>hvm</type></os></domain>", Path("/medium"))


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """What cells are given, without libvirt."""
    monkeypatch.setattr(vagrant, "CHECKOUT", tmp_path)
    module, library = tmp_path / "a.ko", tmp_path / "build" / "lab" / "unchecked.so"
    library.parent.mkdir(parents=True)
    for path in (module, library):
        path.write_bytes(b"built")
    host = VagrantHost("debian-12", Kernel("bookworm", "6.1", tmp_path, ()), 10.0)
    return Given(host, TCG, module, library)


def test_a_cell_brings_its_own_sensor_and_a_witness(given: Given, tmp_path: Path) -> None:
    """Two sensors would run on a host, or a boot that nobody watches would be waited for."""
    over = vagrant.put_over(tmp_path / "over", given, arms()["P"], faults()["arity-gap"])
    assert (over / "srv" / "laboratory" / "order.json").is_file()
    assert (over / "srv" / "bulkhead" / "build" / "lab" / "unchecked.so").is_file()
    units = over / "etc" / "systemd" / "system"
    (wanted,) = (units / "multi-user.target.wants").iterdir()
    assert wanted.readlink() == Path("/etc/systemd/system/bulkhead-laboratory.service")
    added = (units / "bulkhead-agent.service.d" / "laboratory.conf").read_text(encoding="utf-8")
    assert f"ConditionKernelCommandLine=!{WORD}" in added


def test_without_vagrant_a_runner_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laboratory would end in a traceback where Vagrant is not installed."""
    needs.require_root()

    def nothing(name: str) -> str:
        raise VmError(VmReason.TOOL_MISSING, f"no command {name}: run scripts/setup --for-vagrant")

    monkeypatch.setattr(commands, "find", nothing)
    with pytest.raises(RunnerError, match=r"TOOL_MISSING: .*scripts/setup --for-vagrant"):
        VagrantRunner().prepare()


def test_an_unknown_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelled host would be looked for in libvirt, or be another one."""
    needs.require_root()
    monkeypatch.setenv(vagrant.HOST, "debian-14")
    monkeypatch.setattr(commands, "find", lambda name: name)
    monkeypatch.setattr(registry, "read", dict)
    with pytest.raises(RunnerError, match=r"HOST_UNKNOWN: .*debian-14.*expected one of"):
        VagrantRunner().prepare()


def test_without_boxes_it_says_how_to_make_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer would not know what is missing."""
    needs.require_root()
    monkeypatch.setattr(commands, "find", lambda name: name)
    monkeypatch.setattr(registry, "read", dict)
    with pytest.raises(RunnerError, match=r"BOXES_MISSING: .*make boxes"):
        VagrantRunner().prepare()
