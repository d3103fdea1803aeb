"""Names that a program chose for itself, on every screen and in every log of ours."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.link.rendering import Renderer
from agent.supervisor.log import MAX_CHARACTERS, Log
from bulkhead.v1 import channel_file_pb2, report_pb2
from cli import (
    agent,
    agent_prevention,
    agent_quarantine,
    agent_record,
    cloud_views,
    content_common,
    content_test,
    output,
)
from cloud import views
from cloud.store.reports import Stored
from content.definitions import load_definitions
from content.escape import safe
from content.problems import Problem
from content.reasons import Reason
from content.replay import Example

TYPES = load_definitions()
PROCESS = TYPES[1]
WIDTH = 100_000
"""Of the screen, so that nothing is folded and a line is a line."""

NAMES = {
    "forged line": b"sh\n12:00:00.000  evaluator died          pid=1  cause=SIGNAL",
    "carriage return": b"evil\rgood",
    "terminal": b"\x1b[2J\x1b]0;title\x07\x9b31m",
    "right to left": "\u202egpj.exe\u2066".encode(),
    "invisible": "\u200b\ufeff\u2028\u2029\u0085".encode(),
    "not UTF-8": b"\xff\xfe\xc0\xaf\xed\xa0\x80",
    "full comm": b"0123456789abcdef",
    "long path": b"/" + b"/".join([b"d" * 99] * 10),
    "nothing": b"\0\0\0\0",
    "markup": b"[red]x[/red][/] [link=file:///]y[/link]",
    "emoji": b":smile: :bomb:",
    "backslash": rb"\x1b[31m",
    "JSON": b'","pid":1,"x":"',
}


def said(name: bytes) -> str:
    """As the supervisor holds what a role has printed."""
    return name.decode("utf-8", "surrogateescape")


def wire(name: bytes) -> str:
    """As a string of the wire holds it."""
    return name.decode("utf-8", "backslashreplace")


def agent_log(name: bytes) -> None:
    """A role that prints it."""
    output.screen.file.write(_logged(name, as_json=False))


def agent_json_log(name: bytes) -> None:
    """The same, one JSON object a line."""
    output.screen.file.write(_logged(name, as_json=True))


def _logged(name: bytes, *, as_json: bool) -> str:
    stream = io.StringIO()
    Log(as_json=as_json, stream=stream).say("evaluator says", pid=1, line=said(name))
    return stream.getvalue()


def detection_log(name: bytes) -> None:
    """The link's log of detections on the host."""
    output.screen.file.write(Renderer(TYPES).line(_detection(name)).decode().rstrip("\n") + "\n")


def cloud_detections(name: bytes) -> None:
    """`bulkhead cloud detections`."""
    cloud_views._show_detections([_viewed(name)], follow=False, as_json=False)


def cloud_detections_as_they_come(name: bytes) -> None:
    """The same with --follow."""
    cloud_views._show_detections([_viewed(name)], follow=True, as_json=False)


def cloud_detections_json(name: bytes) -> None:
    """The same with --json."""
    cloud_views._show_detections([_viewed(name)], follow=False, as_json=True)


def cloud_crashes(name: bytes) -> None:
    """`bulkhead cloud crashes`."""
    attempts = [report_pb2.Attempt(name=wire(name), count=1)]
    crash = report_pb2.CrashReport(
        cause=wire(name), suspect_instance_id=wire(name), attempts=attempts
    )
    row = cloud_views._crash_row(views.crash(Stored(1, wire(name), 0, crash), TYPES))
    # Two lines for two things.
    output.table("Crashes", ["x"] * len(row), [[one.replace("\ntried ", " tried ") for one in row]])


def agent_deaths(name: bytes) -> None:
    """The deaths that `bulkhead agent status` shows."""
    death = {"role": "evaluator", "cause": said(name), "signal": 9, "action": "RESTARTED"}
    columns = ["role", "cause", "signal", "action", "tried"]
    agent._show_if("Deaths", columns, agent._deaths([{**death, "attempts": {said(name): 1}}]))


def agent_status_rungs(name: bytes) -> None:
    """What the kernel said of a program, in the same place."""
    refused = [{"rung": "bpf_btf", "reason": "LOAD_FAILED", "detail": said(name)}]
    agent._show_if("Rungs refused", ["rung", "reason", "detail"], refused)


def agent_json(name: bytes) -> None:
    """`bulkhead agent status --json`."""
    output.print_json({"deaths": [{"cause": said(name)}]})


def quarantine(name: bytes) -> None:
    """`bulkhead agent quarantine`."""
    one = {"instance": said(name), "template_type": 1, "reason": said(name), "deaths": 2}
    row = agent_quarantine._row("instance", {**one, "since": 0}, "7" * 64)
    output.table("Quarantine", ["x"] * len(row), [row])


def prevention(name: bytes) -> None:
    """`bulkhead agent prevention`."""
    document = {"policy": "on", "kernel_paths": 1, "kernel": True, "refused": {}}
    document["kernel_stopped"] = {said(name): 1}
    agent_prevention._show({"prevention": document, "verdicts": {}})


def content_test_example(name: bytes) -> None:
    """An event that `bulkhead content test` shows."""
    moment = datetime(2024, 7, 19, tzinfo=UTC)
    output.screen.print(content_test._example_text(Example(1, moment, name, name)), soft_wrap=True)


def content_problem(name: bytes) -> None:
    """What `bulkhead content check` refuses."""
    problem = Problem(next(iter(Reason)), said(name), safe(name), "another")
    content_common.print_problems([problem], output.screen)


def recorded_loss(name: bytes) -> None:
    """A loss while recording, in words of a collector."""
    loss = type("Loss", (), {"cause": said(name), "template_type": 1, "count": 1})
    recording: Any = type("Recording", (), {"count": 0, "seconds": 1.0, "rung": "bpf_btf"})
    recording.events, recording.losses, recording.ended = {}, [loss], "TIME"
    agent_record._show(recording, {1: "process"}, Path("x"), 1, as_json=False)


def _detection(name: bytes) -> report_pb2.Detection:
    numbers = {field.name: field.number for field in PROCESS.fields}
    inputs = [
        channel_file_pb2.FieldInput(field=numbers[field], value=channel_file_pb2.Value(text=name))
        for field in ("name", "image", "command_line", "parent_image")
    ]
    return report_pb2.Detection(id="1", template_type=1, instance_id="i", inputs=inputs)


def _viewed(name: bytes) -> dict[str, Any]:
    return views.detection(Stored(1, "host", 0, _detection(name)), TYPES)


SCREENS: tuple[Callable[[bytes], None], ...] = (
    agent_log,
    agent_json_log,
    detection_log,
    cloud_detections,
    cloud_detections_as_they_come,
    cloud_detections_json,
    cloud_crashes,
    agent_deaths,
    agent_status_rungs,
    agent_json,
    quarantine,
    prevention,
    content_test_example,
    content_problem,
    recorded_loss,
)


@pytest.fixture(autouse=True)
def wide_screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is folded."""
    monkeypatch.setattr(output.screen, "_width", WIDTH)
    return iter([None])


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[[bytes], None], bytes], str]:
    """What a screen shows of a name."""

    def look(screen: Callable[[bytes], None], name: bytes) -> str:
        capsys.readouterr()
        screen(name)
        return capsys.readouterr().out

    return look


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: str(screen.__name__))
def test_a_hostile_name_is_shown_as_it_is(
    shown: Callable[[Callable[[bytes], None], bytes], str],
    screen: Callable[[bytes], None],
    name: bytes,
) -> None:
    """A program could forge a line, steer the terminal, or hide behind another's name."""
    text = shown(screen, name)
    assert len(text.split("\n")) == len(shown(screen, b"h" * len(safe(name))).split("\n"))
    assert all(line.isprintable() for line in text.split("\n"))
    as_shown = safe(name, MAX_CHARACTERS)
    if text.startswith("{"):
        text = "\n".join(_texts(json.loads(text)))
        assert as_shown in text or said(name) in text
    else:
        # A string of the wire holds what is not UTF-8 as backslashes, which are escaped again.
        assert as_shown in text or safe(wire(name)) in text


def _texts(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for value in document.values():
            yield from _texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from _texts(value)
    else:
        yield str(document)
