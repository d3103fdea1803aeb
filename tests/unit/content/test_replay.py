"""Replays: what content makes of recorded events, what that costs, and what is noise."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.content import application
from cli.output import ExitCode
from content.interpreter import Evaluation, InstanceFault, Undecided
from content.model import ChannelFile, Clause, Criterion, Operator
from content.reasons import Reason
from content.record import Records
from content.recorded_events import save
from content.replay import BATCH_EVENTS, EXAMPLES, NoiseLimits, replay
from content.template_type import Rung, TemplateType
from tests.unit.content.examples import (
    COMMAND_LINE,
    IMAGE,
    INSTANCE,
    TYPES,
    YAML,
    channel_file,
)
from tests.unit.content.recordings import BOOT_TIME_NS, recording

SHELL = {IMAGE: b"/bin/sh", COMMAND_LINE: b"sh\0-c\0id\x1b[31m"}
OTHER = {IMAGE: b"/bin/ls"}
NOISE = NoiseLimits()
LISTS = replace(
    INSTANCE,
    id="list-started",
    clauses=(Clause((Criterion(IMAGE, Operator.EQUALS, (b"/bin/ls",)),)),),
)


def run(*arguments: object) -> Result:
    """The outcome of a command."""
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one instance, and beside it a recording of 3 events of which 2 match."""
    content = tmp_path / "content"
    content.mkdir()
    (content / "any-shell.yaml").write_text(YAML)
    save(recording([SHELL, OTHER, SHELL]), TYPES, tmp_path / "events.npz")
    return content


def test_matches_are_counted_over_all_batches() -> None:
    """An author would be told of fewer matches than there were."""
    events = [SHELL if index % 2 else OTHER for index in range(BATCH_EVENTS + 10)]
    content = channel_file(INSTANCE, LISTS)
    found = replay([(content, ["a", "b"])], TYPES, recording(events), NOISE)
    half = len(events) // 2
    assert [(one.file, one.matches, one.events) for one in found.outcomes] == [
        ("a", half, len(events)),
        ("b", half, len(events)),
    ]
    rows = [example.row for example in found.outcomes[0].examples]
    assert rows == [1, 3, 5][:EXAMPLES]


def test_instances_of_one_id_are_told_apart() -> None:
    """Matches of one file's instance would be counted for another file's."""
    other = replace(LISTS, id=INSTANCE.id)
    content = [(channel_file(INSTANCE), ["a"]), (channel_file(other), ["b"])]
    found = replay(content, TYPES, recording([SHELL, OTHER, OTHER]), NOISE)
    assert [one.matches for one in found.outcomes] == [1, 2]


def test_an_example_says_when_and_what() -> None:
    """An author could not judge whether a match was right."""
    content = [(channel_file(), ["a"])]
    found = replay(content, TYPES, recording([OTHER, SHELL]), NOISE)
    (example,) = found.outcomes[0].examples
    assert (example.row, example.image) == (1, b"/bin/sh")
    assert example.command_line == b"sh -c id\x1b[31m"
    assert example.time.timestamp() == BOOT_TIME_NS / 1e9 + 1


def test_cost_is_the_median_per_event() -> None:
    """A cost would be quoted that nobody measured, or that one slow pass has made."""
    durations = itertools.cycle([4.096, 8.192, 4.096, 40.96, 4.096])
    now = [0.0]
    calls = itertools.count()

    def clock() -> float:
        if next(calls) % 2:
            now[0] += next(durations)
        return now[0]

    content = [(channel_file(), ["a"])]
    found = replay(content, TYPES, recording([SHELL]), NOISE, clock)
    assert found.costs[0].microseconds == pytest.approx(1000)
    assert found.outcomes[0].microseconds == pytest.approx(1000)


def test_without_events_nothing_is_claimed() -> None:
    """An instance would pass for quiet that was never tried."""
    found = replay([(channel_file(), ["a"])], TYPES, recording([]), NOISE)
    assert found.costs[0].microseconds is None
    assert (found.outcomes[0].events, found.outcomes[0].noisy) == (0, "")


class Faulty:
    """An engine whose every instance breaks a check."""

    def __init__(self, channel_files: Sequence[ChannelFile], types: object) -> None:
        del types
        self.channel_files = channel_files

    def evaluate(self, template_type: TemplateType, records: Records) -> Evaluation:
        """One fault for each instance."""
        del template_type
        faults = [
            InstanceFault(file, instance, 0, Reason.RUN_TIME_CHECK, "broken")
            for file in self.channel_files
            for instance in file.instances
        ]
        left = [Undecided(one.channel_file, one.instance, len(records)) for one in faults]
        return Evaluation([], faults, 0, left)


def test_a_fault_fails_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance that a sensor would skip could pass for quiet."""
    monkeypatch.setattr("content.replay.Interpreter", Faulty)
    arguments = ("test", folder, "--events", folder.parent / "events.npz", "--allow-noisy")
    result = run(*arguments)
    assert result.exit_code == ExitCode.REFUSED
    told = "FAULT any-shell: RUN_TIME_CHECK: broken; not decided on 3 events"
    assert told in result.stdout
    (outcome,) = json.loads(run(*arguments, "--json").stdout)["instances"]
    assert outcome["undecided"] == 3


@pytest.mark.parametrize(
    ("matches", "events", "reason"),
    [
        (0, 0, ""),
        (100, 1_000_000, ""),
        (101, 1_000_000, "101 of 1,000,000 ordinary events (0.01%), more than 100"),
        (1, 1000, ""),
        (2, 1000, "2 of 1,000 ordinary events (0.20%), more than 0.10%"),
        (2, 999, ""),
    ],
)
def test_noise_has_a_limit(matches: int, events: int, reason: str) -> None:
    """An instance that fires on everything would ship, or a good one would be held back."""
    assert NOISE.reason(matches, events) == reason


def test_the_command_reports_matches_and_examples(folder: Path) -> None:
    """An author would not see what was detected."""
    result = run("test", folder, "--events", folder.parent / "events.npz")
    assert result.exit_code == ExitCode.OK, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "3 events, recorded 2026-01-02 03:04:05 UTC in 2.5 s on rung bpf_btf"
    assert lines[1] == "lost while recording RING_FULL: 7"
    assert lines[3].split()[:3] == ["2", "3", "66.67%"]
    assert lines[3].endswith("process/any-shell")
    assert lines[4].split(maxsplit=3)[3] == "/bin/sh  sh -c id\\x1b[31m"
    assert "process: 3 events, 1 instances together" in result.stdout


def test_the_command_warns_of_what_is_costly(folder: Path) -> None:
    """A recording without such events would hide what an instance costs elsewhere."""
    (path,) = folder.glob("*.yaml")
    costly = "ends_with, values: [/sh, /zq]"
    path.write_text(path.read_text().replace("ends_with, values: [/sh]", costly))
    arguments = ("test", folder, "--events", folder.parent / "events.npz")
    assert "warning" not in run(*arguments).stdout
    path.write_text(path.read_text().replace(costly, "contains, values: [sh, h]"))
    result = run(*arguments)
    assert result.exit_code == ExitCode.OK
    assert f"warning {path}:8:12: COSTLY_TO_EVALUATE" in result.stdout
    (told,) = json.loads(run(*arguments, "--json").stdout)["warnings"]
    assert told["reason"] == "COSTLY_TO_EVALUATE"


def test_a_noisy_instance_fails_unless_allowed(folder: Path) -> None:
    """An instance that fires on ordinary events would be packed and pushed."""
    arguments = ("test", folder, "--events", folder.parent / "events.npz", "--noisy-matches", 1)
    result = run(*arguments)
    assert result.exit_code == ExitCode.REFUSED
    assert "NOISY any-shell: 2 of 3 ordinary events (66.67%), more than 1" in result.stdout
    allowed = run(*arguments, "--allow-noisy")
    assert allowed.exit_code == ExitCode.OK
    assert "NOISY any-shell" in allowed.stdout


def test_the_command_prints_json(folder: Path) -> None:
    """A program could not act on a replay."""
    packed = folder.parent / "packed"
    assert run("pack", folder, "--version", 1, "--output", packed).exit_code == ExitCode.OK
    result = run("test", "--json", packed, "--events", folder.parent / "events.npz")
    document = json.loads(result.stdout)
    (instance,) = document["instances"]
    assert (instance["id"], instance["matches"], instance["noisy"]) == ("any-shell", 2, "")
    assert instance["file"].endswith("process.channel")
    assert instance["examples"][0]["command_line"] == "sh -c id\\x1b[31m"
    assert document["recording"]["losses"] == [
        {"cause": "RING_FULL", "template_type": 1, "count": 7}
    ]
    assert document["costs"][0]["microseconds_per_event"] > 0


def test_content_is_checked_first(folder: Path) -> None:
    """Wrong content would be evaluated, and its mistake be taken for silence."""
    (folder / "any-shell.yaml").write_text(YAML.replace("field: image", "field: picture"))
    result = run("test", folder, "--events", folder.parent / "events.npz")
    assert result.exit_code == ExitCode.REFUSED
    assert "UNKNOWN_FIELD" in result.stdout


def test_content_is_checked_for_the_rung_that_was_recorded(folder: Path) -> None:
    """Criteria that the rung can't see would look quiet."""
    polled = replace(recording([SHELL]), rung=Rung.PSUTIL)
    save(polled, TYPES, folder.parent / "polled.npz")
    (folder / "any-shell.yaml").write_text(
        YAML.replace("operator: ends_with, values: [/sh]", "operator: exists").replace(
            "field: image", "field: thread_id"
        )
    )
    result = run("test", folder, "--events", folder.parent / "polled.npz")
    assert result.exit_code == ExitCode.REFUSED
    assert "FIELD_NOT_SUPPLIED" in result.stdout


def test_a_wrong_recording_is_refused(folder: Path) -> None:
    """A mistyped file would end in a traceback."""
    result = run("test", folder, "--events", folder / "any-shell.yaml")
    assert result.exit_code == ExitCode.REFUSED
    assert "NOT_A_RECORDING" in result.stderr
