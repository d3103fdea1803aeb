"""The supervisor's settings: what doesn't fit is said before anything is done."""

from pathlib import Path

import pytest

from agent.supervisor import settings
from agent.supervisor.settings import DEFAULT_CONTROL, DEFAULT_STATE, RUNGS, host_id, parse
from content.definitions import Rung, load_definitions


def test_defaults() -> None:
    """A sensor started without options would look for its content somewhere else."""
    found = parse([])
    assert (found.state, found.control) == (DEFAULT_STATE, DEFAULT_CONTROL)
    assert found.link_folder == DEFAULT_STATE / "link"
    assert (found.cloud, found.tls, found.trust, found.roles) == ("", None, (), None)
    assert found.agent_id == host_id()
    assert found.rungs[-1] == "psutil"
    assert found.prevention == "", "the policy of the state folder"


def test_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option would be ignored, or a path mean something else for another role."""
    monkeypatch.chdir(tmp_path)
    words = "--state s --control c --cloud h:1 --tls t --trust a --trust b --agent-id me".split()
    words += "--rung psutil --ring-bytes 4096 --probation-seconds 1.5 --ready-fd 7".split()
    found = parse([*words, "--json-log", "--roles", "r"])
    assert (found.state, found.control, found.tls) == tuple(tmp_path / name for name in "sct")
    assert found.trust == (Path("a"), Path("b"))
    assert (found.agent_id, found.cloud, found.roles) == ("me", "h:1", Path("r"))
    assert (found.rungs, found.ring_bytes) == (("psutil",), 4096)
    assert (found.probation_seconds, found.ready_fd, found.json_log) == (1.5, 7, True)
    assert parse(["--rung", "bpf_btf"]).rungs == RUNGS
    collecting = parse(["--collect", "3,1,3", "--detach-after-seconds", "0"])
    assert (collecting.collect, collecting.detach_after_seconds) == (frozenset({1, 3}), 0.0)
    assert parse(["--prevention", "off"]).prevention == "off"
    counter = parse(["--counter-trust", "customer.pub", "--group", "shop"])
    assert (counter.counter_trust, counter.group) == ((Path("customer.pub"),), "shop")


@pytest.mark.parametrize(
    "words",
    [
        ["--cloud", "h:1"],
        ["--tls", "folder"],
        ["--rung", "kernel-module"],
        ["--ring-bytes", "many"],
        ["--ring-bytes", "-1"],
        ["--probation-seconds", "nan"],
        ["--probation-seconds", "inf"],
        ["--probation-seconds", "-1"],
        ["--collect", ""],
        ["--collect", "0"],
        ["--collect", "1,process"],
        ["--collect", "70000"],
        ["--detach-after-seconds", "nan"],
        ["--detach-after-seconds", "-1"],
        ["--prevention", "maybe"],
        ["--sta", "s"],
        ["rubbish"],
    ],
)
def test_mistake_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped option would be ignored, or content never be accepted."""
    with pytest.raises(SystemExit) as end:
        parse(words)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("machine_id", ["", "uninitialized\n", "\xff", None])
def test_hosts_of_one_image_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine_id: str | None
) -> None:
    """All hosts that were made of one image would be the same one to the cloud."""
    place = tmp_path / "machine-id"
    if machine_id is not None:
        place.write_text(machine_id, encoding="latin-1")
    monkeypatch.setattr(settings, "MACHINE_ID", place)
    names = set()
    for node in ("first", "second"):
        monkeypatch.setattr("platform.node", lambda node=node: node)
        names.add(host_id())
    assert len(names) == 2


def test_name_of_a_host_stays_and_gives_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host would be a new one after each start, or its machine id be known to the cloud."""
    place = tmp_path / "machine-id"
    place.write_text("0123456789abcdef" * 2 + "\n", encoding="ascii")
    monkeypatch.setattr(settings, "MACHINE_ID", place)
    monkeypatch.setattr("platform.node", lambda: "another name")
    name = host_id()
    assert name == host_id()
    assert "0123456789abcdef" not in name.replace("-", "")


def test_rungs_are_the_ladder() -> None:
    """A rung would be passed over on the way down, or be tried before a better one."""
    assert tuple(Rung) == settings.RUNGS


def test_rungs_without_start_time_are_those_of_the_definition() -> None:
    """The status would say that programs are stopped on a rung on which none is, or the reverse."""
    process = next(kind for kind in load_definitions().values() if kind.name == "process")
    field = next(field for field in process.fields if field.name == "start_time")
    assert {*Rung} - field.rungs == set(settings.RUNGS_WITHOUT_START_TIME)
