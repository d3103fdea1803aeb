"""Recordings: kept as they were, without others' secrets, and nothing in them believed."""

import io
import json
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from content import recorded_events
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.record import LENGTH_SUFFIX, dtype, encode, record_size
from content.recorded_events import Recording, clean, save
from content.recorded_events_reader import load
from content.template_type import Rung, SchemaVersion
from tests.unit.content.examples import COMMAND_LINE, IMAGE, NETWORK, PID, PROCESS, TYPES
from tests.unit.content.recordings import Event, recording

SECRET = b"SECRET-OF-ANOTHER-EVENT"
EVENTS: list[Event] = [
    {IMAGE: b"/bin/sh", COMMAND_LINE: b"sh\0-c\0id", PID: 7},
    {IMAGE: b"/bin/ls"},
]
Members = dict[str, bytes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a recording of two processes and a connection."""
    file = tmp_path / "events.npz"
    save(recording(EVENTS, [{3: bytes(15) + b"\1", 4: 22}]), TYPES, file)
    return file


def refusal(path: Path, types: Any = TYPES) -> Problem:
    """Why a file is refused, for one reason."""
    with pytest.raises(ContentError) as caught:
        load(path, types)
    (problem,) = caught.value.problems
    assert problem.file == str(path)
    return problem


def rewrite(path: Path, change: Callable[[Members], None]) -> None:
    """Change members of the archive."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def array(values: Any) -> bytes:
    """An array as a member of the archive."""
    file = io.BytesIO()
    np.save(file, np.asarray(values))
    return file.getvalue()


def change_header(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the JSON header in place."""

    def rewritten(members: Members) -> None:
        header = json.loads(np.load(io.BytesIO(members["header.npy"])).tobytes())
        change(header)
        members["header.npy"] = array(np.frombuffer(json.dumps(header).encode(), np.uint8))

    rewrite(path, rewritten)


def same(one: Recording, other: Recording) -> bool:
    """Whether two recordings say the same."""
    records = one.events.keys() == other.events.keys() and all(
        one.events[number].tobytes() == other.events[number].tobytes() for number in one.events
    )
    return records and replace(one, events={}) == replace(other, events={})


def test_what_is_saved_is_loaded(path: Path) -> None:
    """Content would be tried against other events than were recorded."""
    found = load(path, TYPES)
    assert same(found, recording(EVENTS, [{3: bytes(15) + b"\1", 4: 22}]))
    assert found.count == 3
    assert found.events[1].dtype == dtype(PROCESS)


def test_a_recording_without_events_is_one(tmp_path: Path) -> None:
    """A quiet host could not be recorded."""
    save(recording([]), TYPES, tmp_path / "quiet.npz")
    assert load(tmp_path / "quiet.npz", TYPES).count == 0


def test_only_the_owner_may_read_it(path: Path) -> None:
    """Passwords in arguments of programs would be readable for everybody on the host."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["events.npz"]


def test_time_of_an_event_is_known_anywhere() -> None:
    """A time since boot would mean nothing on the author's machine."""
    assert recording([]).time_of(1_500_000_000) == datetime(
        2023, 11, 14, 22, 13, 21, 500_000, tzinfo=UTC
    )


def test_stale_memory_is_not_kept(tmp_path: Path) -> None:
    """A recording would hold parts of events that are not in it, passwords among them."""
    records = encode(PROCESS, {IMAGE: b"/bin/sh", PID: 7}, rung=Rung.BPF_BTF)
    stale = np.frombuffer(SECRET, np.uint8)
    records["image"][0, 7 : 7 + len(stale)] = stale
    records["command_line"][0, : len(stale)] = stale
    records["command_line" + LENGTH_SUFFIX] = len(stale)  # not present: its length is stale too
    records["parent_pid"] = 4242
    cleaned = clean(PROCESS, records)
    assert SECRET not in cleaned.tobytes()
    assert (
        cleaned.tobytes()
        == encode(PROCESS, {IMAGE: b"/bin/sh", PID: 7}, rung=Rung.BPF_BTF).tobytes()
    )
    held = recording([])
    save(replace(held, events={1: cleaned}), TYPES, tmp_path / "clean.npz")
    loaded = load(tmp_path / "clean.npz", TYPES)
    assert loaded.events[1].tobytes() == cleaned.tobytes()


def test_lengths_beyond_the_capacity_are_cut() -> None:
    """A damaged length would let content look at what lies behind a text."""
    records = encode(PROCESS, {IMAGE: b"x" * 256}, rung=Rung.BPF_BTF)
    records["image" + LENGTH_SUFFIX] = 100_000
    assert clean(PROCESS, records)["image" + LENGTH_SUFFIX].tolist() == [256]


def test_records_of_another_type_are_left_out() -> None:
    """Bytes of another layout would be taken for events."""
    records = encode(PROCESS, {IMAGE: b"/bin/sh"}, rung=Rung.BPF_BTF)
    records["arity"] = PROCESS.arity + 1
    assert len(clean(PROCESS, records)) == 0


def test_a_changed_definition_is_named(path: Path) -> None:
    """Records of an older layout would be read as if they were of today's."""
    newer = replace(PROCESS, version=SchemaVersion(99, 0))
    problem = refusal(path, {**TYPES, 1: newer})
    assert (problem.reason, problem.expected) == (Reason.SCHEMA_VERSION_MISMATCH, "99.0")
    assert "its Definition has changed since: record again" in problem.found
    fields = (replace(PROCESS.fields[0], name="picture"), *PROCESS.fields[1:])
    renamed = replace(PROCESS, fields=fields)
    assert refusal(path, {**TYPES, 1: renamed}).reason is Reason.FINGERPRINT_MISMATCH
    fields = (replace(PROCESS.fields[0], capacity=264), *PROCESS.fields[1:])
    assert refusal(path, {**TYPES, 1: replace(PROCESS, fields=fields)}).place.endswith("bytes")
    shorter = replace(PROCESS, fields=PROCESS.fields[:-1])
    assert refusal(path, {**TYPES, 1: shorter}).reason is Reason.ARITY_MISMATCH


def test_an_unknown_template_type_is_named(path: Path) -> None:
    """Somebody else's events would end in a traceback."""
    without = {number: one for number, one in TYPES.items() if number != NETWORK.number}
    problem = refusal(path, without)
    assert problem.reason is Reason.UNKNOWN_TEMPLATE_TYPE
    assert "network" in problem.found


@pytest.mark.parametrize("data", [b"", b"PK", b"no archive at all", b"\x93NUMPY"])
def test_other_files_are_refused(path: Path, data: bytes) -> None:
    """Any file by mistake would end in a traceback."""
    path.write_bytes(data)
    assert refusal(path).reason is Reason.NOT_A_RECORDING


def test_every_cut_is_refused(path: Path) -> None:
    """Half a file would pass for a quiet host."""
    data = path.read_bytes()
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        assert refusal(path).reason is Reason.NOT_A_RECORDING


def test_flipped_bits_are_never_a_traceback(path: Path) -> None:
    """A damaged file would end in a traceback, or be believed."""
    data, whole = path.read_bytes(), load(path, TYPES)
    refused = 0
    for place in range(0, len(data), 13):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            assert same(load(path, TYPES), whole)  # a bit that nobody looks at, such as a date
        except ContentError:
            refused += 1
    assert refused > 0


def test_pickled_objects_are_not_unpacked(path: Path) -> None:
    """A stranger's recording would run a stranger's code."""
    file = io.BytesIO()
    np.save(file, np.array([{"run": "me"}], dtype=object), allow_pickle=True)
    rewrite(path, lambda members: members.update({"type_1.npy": file.getvalue()}))
    assert refusal(path).reason is Reason.NOT_A_RECORDING


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("type_1.npy", np.zeros((2, 4), np.uint8)),
        ("type_1.npy", np.zeros(2, np.uint8)),
        ("type_1.npy", np.zeros((2, 5280), np.int32)),
        ("type_1.npy", np.zeros((2, 5280), np.uint8)),
        ("type_1.npy", np.zeros((5280, 2), np.uint8, order="F")),
        ("type_2.npy", np.zeros((0, 2240), np.uint8)),
        ("header.npy", np.zeros(3, np.uint8)),
        ("header.npy", np.frombuffer(b"[]", np.uint8)),
        ("header.npy", np.zeros((1, 1), np.uint8)),
    ],
)
def test_arrays_of_another_form_are_refused(path: Path, name: str, values: Any) -> None:
    """Bytes would be read as records that they are not."""
    rewrite(path, lambda members: members.update({name: array(values)}))
    assert refusal(path).reason is Reason.NOT_A_RECORDING


def test_a_declared_size_is_not_believed(path: Path) -> None:
    """A few bytes would cost gigabytes of memory."""
    huge = array(np.zeros((2, 5280), np.uint8)).replace(b"(2, 5280)", b"(9999999999, 5280)"[:18])
    rewrite(path, lambda members: members.update({"type_1.npy": huge}))
    assert refusal(path).reason is Reason.NOT_A_RECORDING


def test_a_bomb_is_refused_unopened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small archive could unpack to more than memory holds."""
    small = replace(recorded_events.LIMITS, record_bytes=10_000, header_bytes=4096)
    monkeypatch.setattr("content.recorded_events_reader.LIMITS", small)
    rewrite(path, lambda members: members.update({"type_1.npy": bytes(1 << 20)}))
    assert refusal(path).reason is Reason.FILE_TOO_LARGE


def test_a_large_file_is_refused_unread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a wrong file could fill the memory."""
    monkeypatch.setattr(
        "content.recorded_events_reader.LIMITS",
        replace(recorded_events.LIMITS, file_bytes=path.stat().st_size - 1),
    )
    assert refusal(path).reason is Reason.FILE_TOO_LARGE


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 2),
        ("format", True),
        ("rung", "ring0"),
        ("started", "yesterday"),
        ("seconds", "long"),
        ("boot_time_ns", 1 << 80),
        ("types", {}),
        ("types", [7]),
        ("losses", [{"cause": "RING_FULL"}]),
        ("losses", 7),
    ],
)
def test_wrong_headers_are_refused(path: Path, key: str, value: Any) -> None:
    """What a header says would be believed, whatever it says."""
    change_header(path, lambda header: header.update({key: value}))
    assert refusal(path).place.startswith("header")


def test_a_type_twice_is_refused(path: Path) -> None:
    """Events would count twice."""
    change_header(path, lambda header: header["types"].append(header["types"][0]))
    assert refusal(path).found == "a Template Type twice"


def test_a_device_is_not_read() -> None:
    """A command would hang on a file that never ends."""
    assert refusal(Path("/dev/null")).expected == "a regular file"


def test_a_recording_beyond_the_limits_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file would be written that nobody can load again."""
    monkeypatch.setattr(recorded_events, "LIMITS", replace(recorded_events.LIMITS, record_bytes=9))
    with pytest.raises(ValueError, match=f"{2 * record_size(PROCESS)} bytes"):
        save(recording(EVENTS), TYPES, tmp_path / "large.npz")
    assert list(tmp_path.iterdir()) == []
