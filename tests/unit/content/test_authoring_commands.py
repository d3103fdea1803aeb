"""`bulkhead content new|explain|diff`: begin an instance, see why it matches, see what changed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.content import application
from cli.output import ExitCode
from content.authoring import read_instance
from content.channel_file import Envelope, pack, pack_envelope
from content.recorded_events import save
from content.skeleton import id_problem, skeleton
from content.template_type import Kind, TemplateType
from tests.unit.content.examples import IMAGE, INSTANCE, TYPES, YAML, channel_file
from tests.unit.content.recordings import recording

CLAUSES = (
    "clauses:\n"
    "  - - {field: image, operator: ends_with, values: [/sh]}\n"
    "    - {field: pid, operator: less, values: [9]}\n"
    "  - - {field: command_line, operator: contains, values: [id], negated: true}\n"
)
TWO_CLAUSES = YAML.replace(YAML[YAML.index("clauses") : YAML.index("samples")], CLAUSES)


def run(*arguments: object) -> Result:
    """The outcome of a command."""
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """A file with an instance of two clauses."""
    path = tmp_path / "any-shell.yaml"
    path.write_text(TWO_CLAUSES)
    return path


@pytest.mark.parametrize("template_type", TYPES.values(), ids=lambda one: one.name)
def test_a_new_instance_only_lacks_samples(template_type: TemplateType, tmp_path: Path) -> None:
    """An author would begin with mistakes of ours, or ship what was never filled in."""
    made = run("new", template_type.name, "my-idea", "--output", tmp_path)
    assert made.exit_code == ExitCode.OK, made.output
    path = tmp_path / "my-idea.yaml"
    result = run("check", "--json", path)
    assert result.exit_code == ExitCode.REFUSED
    reasons = {problem["reason"] for problem in json.loads(result.stdout)["problems"]}
    assert reasons == {"SAMPLE_MISSING"}
    text = path.read_text()
    assert all(f"#   {field.name}: {field.kind}" in text for field in template_type.fields)


def test_a_new_instance_is_accepted_with_its_samples(tmp_path: Path) -> None:
    """The way that the comments show would lead nowhere."""
    text = skeleton(TYPES[1], "my-idea").replace("samples: []", "samples:")
    head, tail = text.split("samples:\n")
    tail = tail.replace("#", "").replace("/replace-me", "/bin/replace-me", 1)
    before, after = tail.rsplit("/replace-me", 1)
    (tmp_path / "a.yaml").write_text(f"{head}samples:\n{before}/bin/ordinary{after}")
    result = run("check", tmp_path)
    assert result.exit_code == ExitCode.OK, result.output


@pytest.mark.parametrize("kind", [Kind.UNSIGNED, Kind.SIGNED, Kind.ENUM, Kind.ADDRESS])
def test_a_template_type_without_texts_has_a_skeleton(kind: Kind, tmp_path: Path) -> None:
    """A new Template Type would have no beginning."""
    fields = [one for one in TYPES[3].fields if one.kind is kind] or [TYPES[3].fields[1]]
    only = replace(TYPES[3], fields=(replace(fields[0], number=1),))
    (tmp_path / "a.yaml").write_text(skeleton(only, "my-idea"))
    assert read_instance(tmp_path / "a.yaml", {3: only}).instance.id == "my-idea"


def test_new_never_overwrites(tmp_path: Path) -> None:
    """An author's work would be lost."""
    (tmp_path / "my-idea.yaml").write_text("work of a day")
    result = run("new", "process", "my-idea", "--output", tmp_path)
    assert result.exit_code == ExitCode.REFUSED
    assert (tmp_path / "my-idea.yaml").read_text() == "work of a day"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("proces", "my-idea"), "UNKNOWN_TEMPLATE_TYPE"),
        (("process", "../my-idea"), "INVALID_ID"),
        (("process", "My Idea"), "INVALID_ID"),
    ],
)
def test_new_refuses_what_can_not_be(
    arguments: tuple[str, str], reason: str, tmp_path: Path
) -> None:
    """A file would be written that nothing accepts, or in another folder."""
    result = run("new", *arguments, "--output", tmp_path)
    assert result.exit_code == ExitCode.USAGE
    assert reason in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_ids_are_those_of_the_validator() -> None:
    """A name would be accepted here and refused by `check`."""
    assert id_problem("a" * 64) == ""
    assert id_problem("a" * 65) != ""
    assert id_problem("a--b") != ""


def test_explain_names_what_held_and_what_failed(instance: Path) -> None:
    """An author could not tell which criterion is wrong."""
    event = '{"image": "/bin/sh", "pid": 12, "command_line": "sh -c id\\u001b"}'
    result = run("explain", event, instance)
    assert result.exit_code == ExitCode.OK, result.output
    assert result.stdout.splitlines() == [
        "clause 0 does not hold",
        '  held    image ends_with "/sh"',
        "          saw image = '/bin/sh'",
        "  failed  pid less 9",
        "          saw pid = 12",
        "clause 1 does not hold",
        '  failed  command_line not contains "id"',
        "          saw command_line = 'sh -c id\\x1b'",
        "any-shell does not match",
    ]


def test_explain_takes_a_sample_by_name(instance: Path) -> None:
    """A failing sample could not be looked into."""
    document = json.loads(run("explain", "--json", "two", instance).stdout)
    assert document["matched"] is True  # no command line, so that it holds no "id"
    assert [one["held"] for one in document["criteria"]] == [False, False, True]
    assert [one["value"] for one in document["criteria"]] == ["'/bin/ls'", "(absent)", "(absent)"]


def test_explain_takes_a_recorded_event(instance: Path) -> None:
    """A match on a real event could not be looked into."""
    path = instance.with_name("events.npz")
    save(recording([{IMAGE: b"/bin/ls"}, {IMAGE: b"/bin/sh", 4: 5, 2: b"sh\0id"}]), TYPES, path)
    result = run("explain", f"{path}:process:1", instance)
    assert "clause 0 holds" in result.stdout
    assert result.stdout.splitlines()[-1] == "any-shell matches"
    for event, reason in (
        (f"{path}:process:2", "VALUE_OUT_OF_RANGE"),
        (f"{path}:network:0", "UNKNOWN_TEMPLATE_TYPE"),
        (f"{path}x.npz:process:0", "FILE_NOT_ACCESSIBLE"),
    ):
        refused = run("explain", event, instance)
        assert refused.exit_code == ExitCode.REFUSED
        assert reason in refused.stderr


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("no such sample", "SAMPLE_MISSING"),
        ('{"picture": "/bin/sh"}', "UNKNOWN_FIELD"),
        ('{"pid": "12"}', "WRONG_TYPE"),
        ('{"pid": -1}', "VALUE_OUT_OF_RANGE"),
        ('{"pid": 1', "NOT_YAML"),
        ('{"image": "a", "image": "b"}', "DUPLICATE_KEY"),
        ("{}}", "NOT_YAML"),
    ],
)
def test_explain_refuses_what_is_no_event(instance: Path, event: str, reason: str) -> None:
    """A mistyped event would end in a traceback, or be explained as something else."""
    result = run("explain", event, instance)
    assert result.exit_code == ExitCode.REFUSED, result.output
    assert reason in result.stderr


def test_explain_refuses_a_prefix_as_an_address(tmp_path: Path) -> None:
    """A network would be explained as if it were an address."""
    assert run("new", "network", "mine", "--output", tmp_path).exit_code == ExitCode.OK
    result = run("explain", '{"remote_address": "10.0.0.0/8"}', tmp_path / "mine.yaml")
    assert result.exit_code == ExitCode.REFUSED
    assert "one address, not a prefix" in result.stderr


def test_explain_needs_content_that_can_be_evaluated(instance: Path) -> None:
    """An expression outside the subset would end in a traceback."""
    instance.write_text(YAML.replace("ends_with, values: [/sh]", "regex, values: ['(a)\\1']"))
    result = run("explain", "one", instance)
    assert result.exit_code == ExitCode.REFUSED
    assert f"{instance}:8:" in result.stderr
    assert "EXPRESSION_NOT_ALLOWED" in result.stderr


def test_explain_works_before_there_are_samples(tmp_path: Path) -> None:
    """An author would have to guess the first sample."""
    assert run("new", "process", "mine", "--output", tmp_path).exit_code == ExitCode.OK
    result = run("explain", "{image: /bin/sh}", tmp_path / "mine.yaml")
    assert result.stdout.splitlines()[-1] == "mine does not match"


def test_diff_says_what_changed(instance: Path, tmp_path: Path) -> None:
    """A reviewer would approve what was not looked at."""
    new = tmp_path / "new"
    new.mkdir()
    (new / "any-shell.yaml").write_text(TWO_CLAUSES.replace("[/sh]", "[/sh, /bash]"))
    (new / "other.yaml").write_text(YAML.replace("any-shell", "other"))
    result = run("diff", instance, new)
    assert result.exit_code == ExitCode.OK
    assert result.stdout.splitlines() == [
        "added    process/other",
        "changed  process/any-shell: clauses",
        '    clauses  - image ends_with "/sh" and pid less 9',
        '    clauses  + image ends_with "/sh" or "/bash" and pid less 9',
        "0 unchanged",
    ]
    assert "removed  process/other" in run("diff", new, instance).stdout


def test_diff_of_channel_files_has_versions(tmp_path: Path) -> None:
    """Two releases would look the same that are not."""
    for name, content in (
        ("old", channel_file(version=3)),
        ("new", channel_file(replace(INSTANCE, title="\x1b[31mred"), version=4)),
    ):
        (tmp_path / f"{name}.channel").write_bytes(pack_envelope(Envelope(pack(content))))
    old, new = tmp_path / "old.channel", tmp_path / "new.channel"
    lines = run("diff", old, new).stdout.splitlines()
    assert lines[0] == "version of process: 3 → 4"
    assert lines[1:4] == [
        "changed  process/shell-started: title",
        "    title  - A shell was started",
        "    title  + \\x1b[31mred",
    ]
    document = json.loads(run("diff", "--json", old, new).stdout)
    assert document["same"] is False
    assert document["versions"] == {"process": {"old": 3, "new": 4}}
    assert list(document["changed"]) == ["process/shell-started"]
    assert json.loads(run("diff", "--json", old, old).stdout)["same"] is True


def test_diff_refuses_what_can_not_be_read(instance: Path, tmp_path: Path) -> None:
    """Broken files would count as removed instances."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("id: [")
    result = run("diff", instance, broken)
    assert result.exit_code == ExitCode.REFUSED
    assert "NOT_YAML" in result.stderr
