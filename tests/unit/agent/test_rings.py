"""Rings: what a collector hands over is checked, and only positions are ever read."""

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.channel import Message, ProtocolViolationError
from agent.supervisor.hand_over import from_message
from agent.supervisor.rings import Counter, skipped_in
from tests.unit.agent.descriptors import none_lost, open_descriptors
from tests.unit.agent.ring_memory import STRIDE, attached, collection, count, memory, produce, ring

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def test_positions_and_backlog() -> None:
    """Loss and backlog would be reported wrongly, or a ring be taken for another."""
    found = collection(1, 3)
    produce(found.rings[1].descriptor, 10)
    produce(found.rings[3].descriptor, 4)
    found.rings[1].position = 7 * STRIDE
    assert found.rings[1].produced() == 10 * STRIDE
    assert found.produced_events() == 14
    assert found.backlog_events() == 3 + 4
    found.rings[3].position = 5 * STRIDE
    assert found.backlog_events() == 3
    assert {**found.rings[3].document(), "identity": [0, 8]} == ring(3)
    found.close()


READER = """
import mmap, sys
words = memoryview(mmap.mmap(int(sys.argv[1]), mmap.PAGESIZE)).cast("Q")
print(words[0], flush=True)
while words[0] == int(sys.argv[2]):
    if words[1]:
        sys.exit(0)
sys.exit("the position went away")
"""
"""Reads the consumer position again and again, as the kernel does for each record."""


def test_whoever_reads_along_sees_no_other_position() -> None:
    """The kernel would find the ring full for a moment, and lose what happens in it."""
    position = 0x0102030405060708 * STRIDE & (1 << 62) - 1
    descriptor = memory()
    command = [sys.executable, "-c", READER, str(descriptor), str(position)]
    found = from_message(attached({"rings": [ring(1)]}, (descriptor,)))
    found.rings[1].position = position
    found.rings[1].repair()
    with subprocess.Popen(command, pass_fds=(descriptor,), stdout=subprocess.PIPE) as reader:
        assert reader.stdout
        assert int(reader.stdout.readline()) == position
        for _ in range(50_000):
            found.rings[1].repair()
        with memoryview(found.rings[1].consumer) as page, page.cast("Q") as words:
            words[1] = 1
        assert reader.wait(30) == 0
    found.close()


def test_counters_are_read_where_the_collector_said() -> None:
    """Loss would be counted for another cause or Template Type."""
    counters = memory(4096)
    said = [
        {"cause": "RING_FULL", "template_type": 1},
        {"cause": "LINEAGE_FULL", "template_type": 0},
    ]
    fields = {"rings": [ring(1)], "counters": said}
    kept = os.dup(counters)
    found = from_message(attached(fields, (memory(), counters)))
    count(kept, 0, 5)
    count(kept, 1, 7)
    assert list(found.lost()) == [
        (Counter("PROBE_SKIPPED", 0), 0),
        (Counter("RING_FULL", 1), 5),
        (Counter("LINEAGE_FULL", 0), 7),
    ]
    found.close()
    os.close(kept)


@pytest.mark.parametrize("flooders", [["1"], [0], [-1], [True], [1.0], [None], [1] * 5000])
def test_places_of_no_template_type_are_refused(flooders: list[Any]) -> None:
    """A hostile collector could have a flood told of what is none."""
    counters = [{"cause": "FLOOD", "template_type": 1}]
    fields = {"rings": [ring(1)], "counters": counters, "flooders": flooders}
    with none_lost(), pytest.raises(ProtocolViolationError, match="flooders"):
        from_message(attached(fields, (memory(), memory(4096))))


def test_more_places_than_memory_are_refused() -> None:
    """A hostile collector could have the supervisor read beyond what is there, and so end it."""
    counters = [{"cause": "FLOOD", "template_type": 1}]
    fields = {"rings": [ring(1)], "counters": counters, "flooders": [1] * 1000}
    with none_lost(), pytest.raises(ProtocolViolationError):
        from_message(attached(fields, (memory(), memory(4096))))


def test_closing_gives_everything_back() -> None:
    """Each new collection would leave descriptors and probes behind."""
    with none_lost():
        fields = {"rings": [ring(1)], "counters": [{"cause": "X", "template_type": 1}]}
        found = from_message(attached(fields, (memory(), memory(4096), memory(), memory())))
        assert len(found.attachments) == 2
        found.close()


def test_collection_is_complete_when_all_descriptors_are_there() -> None:
    """Evaluators would start before everything is attached, or never."""
    found = from_message(attached({"rings": [ring(1)], "more": 3}, (memory(),)))
    complete = [found.complete]
    for number in (2, 1):
        descriptors = tuple(memory() for _ in range(number))
        found.add_attachments(Message("attachments", {"more": 0}, b"", descriptors))
        complete.append(found.complete)
    assert complete == [False, False, True]
    one_more = Message("attachments", {"more": 0}, b"", (memory(),))
    with pytest.raises(ProtocolViolationError):
        found.add_attachments(one_more)
    found.close()


def test_further_descriptors_are_given_back_too() -> None:
    """Probes of an earlier collection would stay attached for ever."""
    with none_lost():
        found = from_message(attached({"rings": [ring(1)], "more": 2}, (memory(),)))
        found.add_attachments(Message("attachments", {"more": 0}, b"", (memory(), memory())))
        assert len(found.attachments) == 2
        found.close()


def test_message_without_further_descriptors_is_refused() -> None:
    """A collector could keep the sensor waiting with empty messages."""
    found = from_message(attached({"rings": [ring(1)], "more": 3}, (memory(),)))
    with pytest.raises(ProtocolViolationError):
        found.add_attachments(Message("attachments", {"more": 3}, b"", ()))
    found.close()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rings": [ring(1), ring(2)]},
        {"rings": [ring(1), ring(1)], "counters": [], "more": 0, "extra": True},
        {"rings": [ring(0)]},
        {"rings": [ring(-1)]},
        {"rings": [ring(True)]},
        {"rings": [ring(1, stride=0)]},
        {"rings": [ring(1, stride=-64)]},
        {"rings": [ring(1, stride=60)]},
        {"rings": [ring(1, bytes=32)]},
        {"rings": [ring(1, bytes=2**40)]},
        {"rings": [ring(1, bytes="1")]},
        {"rings": [ring(1, kind="file")]},
        {"rings": [ring(1, kind=["bpf"])]},
        {"rings": [ring(1)], "counters": [{"cause": "X", "template_type": 1}]},
        {"rings": [ring(1)], "counters": [{"cause": "X"}]},
        {"rings": [ring(1)], "counters": [{"cause": "X", "template_type": "one"}]},
        {"rings": [ring(1)], "counters": [{"cause": "X", "template_type": float("inf")}]},
        {"rings": [ring(1)], "more": -1},
    ],
)
def test_rubbish_is_refused(fields: dict[str, Any]) -> None:
    """A broken collector would end the supervisor, or leave its descriptors behind."""
    with none_lost():
        message = attached(fields, tuple(memory() for _ in range(2 if "extra" in fields else 1)))
        with pytest.raises(ProtocolViolationError):
            from_message(message)


@given(st.lists(JSON, max_size=3), st.lists(JSON, max_size=3), st.integers(0, 4))
def test_any_rubbish_is_refused(rings: list[Any], counters: list[Any], descriptors: int) -> None:
    """Some message of a broken collector would end the supervisor."""
    fields = {"rings": rings, "counters": counters}
    with none_lost():
        message = attached(fields, tuple(memory(8192) for _ in range(descriptors)))
        with pytest.raises(ProtocolViolationError):
            from_message(message)


def test_memory_that_can_be_cut_short_is_refused() -> None:
    """A collector or evaluator could shrink its ring, and a signal would end the supervisor."""
    with none_lost(), pytest.raises(ProtocolViolationError, match="sealed"):
        from_message(attached({"rings": [ring(1)]}, (memory(seals=0),)))
    fields = {"rings": [ring(1)], "counters": [{"cause": "X", "template_type": 1}]}
    with none_lost(), pytest.raises(ProtocolViolationError, match="sealed"):
        from_message(attached(fields, (memory(), memory(4096, seals=0))))


def test_memory_that_is_too_short_is_refused() -> None:
    """The supervisor would end the first time that it looks at the ring."""
    before = open_descriptors()
    for size in (0, 4096):
        with pytest.raises(ProtocolViolationError):
            from_message(attached({"rings": [ring(1)]}, (memory(size),)))
    fields = {"rings": [ring(1)], "counters": [{"cause": "X", "template_type": 1}] * 513}
    with pytest.raises(ProtocolViolationError):
        from_message(attached(fields, (memory(), memory(4096))))
    assert open_descriptors() == before


def test_descriptor_that_is_no_memory_is_refused() -> None:
    """A pipe in the place of a ring would end the supervisor."""
    with none_lost():
        reading, writing = os.pipe()
        with pytest.raises(ProtocolViolationError):
            from_message(attached({"rings": [ring(1)]}, (reading,)))
        os.close(writing)


def test_skipped_programs_are_counted() -> None:
    """What the kernel skips would be lost without anybody counting it."""
    program = "pos:\t0\nprog_type:\t5\nrecursion_misses:\t3\nverified_insns:\t9\n"
    assert skipped_in(program) == 3
    assert skipped_in("pos:\t0\nflags:\t02\nmap_type:\t27\n") is None


def test_what_was_skipped_stays_counted_when_its_program_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A type that leaves would take its share of the loss along, and later loss be passed over."""
    fields = {
        "rung": "bpf_btf",
        "rings": [ring(1), ring(2)],
        "counters": [{"cause": "RING_FULL", "template_type": 1}],
        "serves": [[], [1], [2]],
    }
    descriptors = tuple(memory() for _ in range(2)) + tuple(memory(4096) for _ in range(4))
    found = from_message(attached(fields, descriptors))
    skipped = dict(zip(descriptors[3:], (1, 10, 100), strict=True))
    monkeypatch.setattr("agent.supervisor.rings._skipped", skipped.get)
    counts = [next(found.lost())[1]]
    assert found.detach_one({2})
    counts.append(next(found.lost())[1])
    skipped[descriptors[4]] += 5
    counts.append(next(found.lost())[1])
    assert not found.detach_one({2})
    assert counts == [111, 111, 116]
    found.close()
