"""`bulkhead content …`: what is printed where, exit statuses, and files whole or absent."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.content import application
from cli.output import ExitCode
from content.channel_file import Envelope, load, pack, pack_envelope, read_envelope
from content.files import replace_file
from tests.unit.content.examples import VALUES_OF_EVERY_KIND, YAML, channel_file


def run(*arguments: object) -> Result:
    """The outcome of a command."""
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A folder with one good instance."""
    folder = tmp_path / "content"
    folder.mkdir()
    (folder / "any-shell.yaml").write_text(YAML)
    return folder


def test_check_accepts(good: Path) -> None:
    """Good content would be refused, or nothing said."""
    result = run("check", good)
    assert result.exit_code == ExitCode.OK
    assert "accepted on rung bpf_btf; instances: 1" in result.stdout


def test_check_refuses_with_file_line_and_column(good: Path) -> None:
    """An editor or an author could not find the mistake."""
    path = good / "any-shell.yaml"
    path.write_text(YAML.replace("[/sh]", "[012]").replace("severity: low", "severity: lo[w]"))
    result = run("check", path)
    assert result.exit_code == ExitCode.REFUSED
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{path}:7:11: UNKNOWN_ENUM severity: found lo[w], expected one of")
    assert lines[1].startswith(
        f"{path}:8:57: WRONG_TYPE clauses[0].criteria[0].values[0]: found 012"
    )
    assert len(lines) == 2


def test_check_says_what_the_kernel_prevents(good: Path) -> None:
    """An author could not see that a criterion is left to the verdict."""
    exact = "{field: image, operator: equals, values: [/opt/x], case_sensitive: true}"
    text = YAML.replace("disposition: observe", "disposition: prevent")
    text = text.replace("{field: image, operator: ends_with, values: [/sh]}", exact)
    text = text.replace("/bin/sh", "/opt/x")
    (good / "any-shell.yaml").write_text(text)
    said = run("check", good)
    assert said.exit_code == ExitCode.OK, said.stdout
    assert "paths that the kernel prevents by itself: 1" in said.stdout
    assert json.loads(run("check", "--json", good).stdout)["kernel_paths"] == ["/opt/x"]
    (good / "any-shell.yaml").write_text(text.replace(", case_sensitive: true", ""))
    assert "by itself" not in run("check", good).stdout


def test_check_prints_json(good: Path) -> None:
    """A program could not act on what is refused."""
    document = json.loads(run("check", "--json", good, "--rung", "psutil").stdout)
    assert document == {
        "accepted": True,
        "instances": 1,
        "kernel_paths": [],
        "problems": [],
        "rung": "psutil",
        "warnings": [],
    }
    (good / "any-shell.yaml").write_text(YAML.replace("any-shell", "Any"))
    result = run("check", "--json", good)
    assert result.exit_code == ExitCode.REFUSED
    (problem,) = json.loads(result.stdout)["problems"]
    assert (problem["reason"], problem["line"], problem["column"]) == ("INVALID_ID", 1, 5)


def test_check_warns_of_what_is_costly_and_accepts_it(good: Path) -> None:
    """An author would not learn what is dear, or could not pack it at all."""
    path = good / "any-shell.yaml"
    path.write_text(YAML.replace("ends_with, values: [/sh]", "contains, values: [h]"))
    result = run("check", good)
    assert result.exit_code == ExitCode.OK
    warning, accepted = result.stdout.splitlines()
    assert warning.startswith(f"warning {path}:8:12: COSTLY_TO_EVALUATE clauses[0].criteria[0]: ")
    assert 'µs an event: image contains "h", expected at most 1 µs: add a criterion' in warning
    assert accepted == "accepted on rung bpf_btf; instances: 1"
    document = json.loads(run("check", "--json", good).stdout)
    assert document["accepted"]
    (told,) = document["warnings"]
    assert (told["reason"], told["line"], told["column"]) == ("COSTLY_TO_EVALUATE", 8, 12)
    packed = good.parent / "packed"
    assert run("pack", good, "--version", 1, "--output", packed).exit_code == ExitCode.OK
    assert "COSTLY_TO_EVALUATE" in run("check", packed / "process.channel").stdout


def test_refused_content_is_not_warned_of(good: Path) -> None:
    """A mistake would be hidden among estimates."""
    text = YAML.replace("ends_with, values: [/sh]", "contains, values: [h]")
    (good / "any-shell.yaml").write_text(text.replace("any-shell", "Any"))
    assert "warning" not in run("check", good).stdout


def test_check_escapes_what_an_attacker_wrote(good: Path) -> None:
    """A file from elsewhere could rewrite the author's screen."""
    (good / "any-shell.yaml").write_text(YAML.replace("any-shell", '"\\e[2J\\n[red]"'))
    result = run("check", good)
    assert "\x1b" not in result.stdout
    assert "found \\x1b[2J\\x0a[red], expected" in result.stdout


def test_missing_files_are_a_usage_error(tmp_path: Path) -> None:
    """A mistyped path would be accepted as good content."""
    assert run("check", tmp_path / "none").exit_code == ExitCode.USAGE


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """A mistyped folder would be accepted as good content."""
    result = run("check", tmp_path)
    assert result.exit_code == ExitCode.REFUSED
    assert "EMPTY_FILE" in result.stderr


def test_pack_writes_envelopes(good: Path, tmp_path: Path) -> None:
    """What is packed would not be what was written."""
    output = tmp_path / "out" / "deeper"
    result = run("pack", good, "--version", 7, "--output", output, "--json")
    assert result.exit_code == ExitCode.OK
    (written,) = json.loads(result.stdout)["files"]
    assert written["file"] == str(output / "process.channel")
    envelope = read_envelope(output / "process.channel")
    assert envelope.signatures == ()
    content = load(envelope.payload)
    assert (content.version, [one.id for one in content.instances]) == (7, ["any-shell"])
    assert [path.name for path in output.iterdir()] == ["process.channel"]


def test_pack_is_deterministic(good: Path, tmp_path: Path) -> None:
    """The same content would have another hash each time."""
    for name in ("a", "b"):
        run("pack", good, "--version", 7, "--output", tmp_path / name)
    assert (tmp_path / "a/process.channel").read_bytes() == (
        tmp_path / "b/process.channel"
    ).read_bytes()


def test_pack_refuses_and_writes_nothing(good: Path, tmp_path: Path) -> None:
    """Half of the content would be packed."""
    (good / "bad.yaml").write_text(YAML.replace("severity: low", "severity: none"))
    output = tmp_path / "out"
    result = run("pack", good, "--version", 1, "--output", output, "--json")
    assert result.exit_code == ExitCode.REFUSED
    assert result.stdout == ""
    assert json.loads(result.stderr)["error"]["problems"][0]["reason"] == "UNKNOWN_ENUM"
    assert not output.exists()


@pytest.mark.parametrize("version", [0, -1, 1 << 63, "x"])
def test_pack_refuses_versions_that_cannot_be(good: Path, tmp_path: Path, version: object) -> None:
    """A version that no sensor accepts would be packed."""
    result = run("pack", good, "--version", version, "--output", tmp_path / "out")
    assert result.exit_code == ExitCode.USAGE


def test_pack_takes_no_packed_files(good: Path, tmp_path: Path) -> None:
    """A packed file among the instances would be left out without a word."""
    (good / "x.channel").write_bytes(pack_envelope(Envelope(pack(channel_file()))))
    result = run("pack", good, "--version", 1, "--output", tmp_path / "out")
    assert result.exit_code == ExitCode.USAGE
    assert "ALREADY_PACKED" in result.stderr


def test_show(tmp_path: Path) -> None:
    """Nobody could see what a packed file says."""
    path = tmp_path / "network.channel"
    path.write_bytes(pack_envelope(Envelope(pack(VALUES_OF_EVERY_KIND))))
    result = run("show", path)
    assert result.exit_code == ExitCode.OK
    for line in (
        "signed by nobody",
        "network (Template Type 3, schema 1.1, 21 fields), version 7",
        "shell-started  detect  low  T1059.004",
        "    operation equals connect or bind",
        "    remote_address not cidr 10.0.0.0/8",
        "    result less -1",
        '    image regex "/bin/.*sh$" or "x\\\\xff" (case-sensitive)',
        "    remote_port exists",
        "  or where",
        "    local_address equals ::1/128",
    ):
        assert line.replace('"', "") in result.stdout.replace('"', ""), line


def test_show_prints_json(tmp_path: Path) -> None:
    """A program could not see what a packed file says."""
    path = tmp_path / "network.channel"
    path.write_bytes(pack_envelope(Envelope(pack(VALUES_OF_EVERY_KIND))))
    document = json.loads(run("show", path, "--json").stdout)
    assert document["template_type"]["name"] == "network"
    (instance,) = document["instances"]
    assert instance["clauses"][0][1] == {
        "field": "remote_address",
        "operator": "cidr",
        "values": ["10.0.0.0/8"],
        "negated": True,
        "case_sensitive": False,
    }
    assert instance["samples"][0]["inputs"]["image"] == "\\xff"


def test_show_refuses_what_cannot_be_loaded(tmp_path: Path) -> None:
    """A damaged file would be a traceback."""
    path = tmp_path / "damaged.channel"
    path.write_bytes(pack_envelope(Envelope(b"\xff")))
    result = run("show", path)
    assert result.exit_code == ExitCode.REFUSED
    assert result.stderr.startswith(f"{path}: NOT_A_CHANNEL_FILE")


def test_reference_writes_and_compares(tmp_path: Path) -> None:
    """Generated pages would go stale unseen."""
    assert run("reference", "--check", "--output", tmp_path).exit_code == ExitCode.REFUSED
    assert not list(tmp_path.iterdir())
    assert run("reference", "--output", tmp_path).exit_code == ExitCode.OK
    assert (tmp_path / "template-types" / "ipc.md").exists()
    assert run("reference", "--check", "--output", tmp_path).exit_code == ExitCode.OK
    (tmp_path / "reason-codes.md").write_text("changed by hand")
    result = run("reference", "--check", "--output", tmp_path, "--json")
    assert result.exit_code == ExitCode.REFUSED
    assert json.loads(result.stdout)["changed"] == ["reason-codes.md"]


def test_files_are_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk would leave half a Channel File, or rubbish beside it."""
    path = tmp_path / "x.channel"
    replace_file(path, b"old")

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644
