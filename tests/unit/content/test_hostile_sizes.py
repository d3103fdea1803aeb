"""Content that is small to send and large to take: refused at its limit, before it costs."""

import re
import tracemalloc
from dataclasses import replace

import pytest

from bulkhead.v1 import channel_file_pb2
from content.authoring import read_instance_text
from content.channel_file import load, pack
from content.limits import LIMITS
from content.model import ChannelFile, Clause, Criterion, Operator, Sample
from content.problems import ContentError
from content.reasons import Reason
from content.wire import channel_file_to_proto
from content.yaml_reader import read
from tests.unit.content.examples import (
    IMAGE,
    IMAGE_IS_SHELL,
    TYPES,
    VALUES_OF_EVERY_KIND,
    YAML,
    channel_file,
    problems_of,
    reasons,
    with_instance,
)
from tests.unit.content.growth import LINEAR, cost

MEGABYTE = 1_000_000
MANY = 10_000
GROUP, END_GROUP = b"\xfb\x07", b"\xfc\x07"
"""Tags of field 127, which nobody knows, as the beginning and the end of a group."""


def refused(payload: bytes) -> set[Reason]:
    """Why the loader refuses these bytes."""
    with pytest.raises(ContentError) as error:
        load(payload)
    return set(reasons(list(error.value.problems)))


def refused_text(text: str) -> tuple[Reason, int, int]:
    """Why an author's text is refused first, with line and column."""
    with pytest.raises(ContentError) as error:
        read_instance_text(text.encode(), "large.yaml", TYPES)
    first = error.value.problems[0]
    return first.reason, first.line, first.column


def test_ten_thousand_clauses() -> None:
    """One instance could cost as much as ten thousand, at every event."""
    content = with_instance(clauses=(Clause((IMAGE_IS_SHELL,)),) * MANY)
    assert Reason.LIMIT_EXCEEDED in reasons(problems_of(content))
    assert refused(pack(content)) == {Reason.LIMIT_EXCEEDED}


def test_ten_thousand_clauses_of_an_author() -> None:
    """The author's tool could be held up, or pack what no sensor takes."""
    clause = "[{field: image, operator: exists}]"
    large = re.sub("clauses: .*", f"clauses: [{', '.join([clause] * MANY)}]", YAML)
    authored = read_instance_text(large.encode(), "large.yaml", TYPES)
    assert len(authored.instance.clauses) == MANY
    assert Reason.LIMIT_EXCEEDED in reasons(problems_of(channel_file(authored.instance)))


@pytest.mark.parametrize("place", ["value", "sample", "title", "description", "id", "author"])
def test_a_megabyte_in_one_place(place: str) -> None:
    """One value could fill records, reports and logs."""
    content = _with_megabyte(place)
    assert Reason.LIMIT_EXCEEDED in reasons(problems_of(content)) or place == "id"
    assert problems_of(content)
    assert refused(pack(content)) == {Reason.LIMIT_EXCEEDED}
    problems = problems_of(content)
    assert max(len(one.found) for one in problems) < LIMITS.prose_characters


def _with_megabyte(place: str) -> ChannelFile:
    if place == "value":
        criterion = Criterion(IMAGE, Operator.CONTAINS, (b"a" * MEGABYTE,))
        return with_instance(clauses=(Clause((criterion,)),))
    if place == "sample":
        return with_instance(
            samples=(Sample("one", must_match=True, inputs={IMAGE: b"a" * MEGABYTE}),)
        )
    return with_instance(**{place: "a" * MEGABYTE})


def test_a_megabyte_of_an_author() -> None:
    """The tool could read on for ever, or fill the screen with what it refuses."""
    assert refused_text(YAML.replace("/sh]", f"/{'a' * LIMITS.yaml_bytes}]"))[0] is (
        Reason.FILE_TOO_LARGE
    )
    almost = "a" * (LIMITS.yaml_bytes - 1000)
    title = read_instance_text(YAML.replace("A shell", almost).encode(), "large.yaml", TYPES)
    problems = problems_of(channel_file(title.instance))
    assert reasons(problems) == [Reason.LIMIT_EXCEEDED]
    assert max(len(one.found) for one in problems) < LIMITS.title_characters


def test_a_bomb_of_aliases_is_refused_at_its_first_fuse() -> None:
    """Nine lines of YAML would become gigabytes once their aliases are followed."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{one}: &a{one} [{', '.join([f'*a{one - 1}'] * 9)}]" for one in range(1, 10)]
    tracemalloc.start()
    with pytest.raises(ContentError) as error:
        read("\n".join(lines).encode(), "bomb.yaml")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (problem,) = error.value.problems
    assert (problem.reason, problem.line, problem.column) == (Reason.YAML_NOT_PLAIN, 1, 5)
    assert peak < MEGABYTE


@pytest.mark.parametrize("depth", [1, 50, 99, 101, 5_000, 100_000])
def test_groups_within_groups(depth: int) -> None:
    """Bytes that nest without end could use up the stack of whoever looks for unknown fields."""
    nested = GROUP * depth + END_GROUP * depth
    message = channel_file_to_proto(VALUES_OF_EVERY_KIND)
    instance = message.instances[0].SerializeToString() + nested
    head = channel_file_pb2.ChannelFile(
        template_type=message.template_type, version=message.version
    ).SerializeToString()
    length = len(instance)
    framed = head + b"\x1a" + _varint(length) + instance
    expected = {
        Reason.UNKNOWN_PROTOBUF_FIELD,
        Reason.NOT_A_CHANNEL_FILE,
        Reason.LIMIT_EXCEEDED,
    }
    assert len(refused(framed)) == 1
    assert refused(framed) <= expected


def _varint(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def test_every_truncated_payload_is_refused_or_kept() -> None:
    """A file that was cut off would be loaded as content that its bytes don't say."""
    payload = pack(VALUES_OF_EVERY_KIND)
    for length in range(len(payload)):
        try:
            assert pack(load(payload[:length])) == payload[:length]
        except ContentError:
            continue


@pytest.mark.parametrize(
    "part",
    [b"- a\n", b"- [a, {b: c}]\n", b"- 'a\n  b'\n", b"- |\n  a\n", b"# a\n", b"-   a  # b\n"],
)
def test_yaml_takes_linear_time(part: bytes) -> None:
    """A small file could keep the author's tool busy for hours."""
    small = b"- a\n" + part * 100
    large = b"- a\n" + part * 400
    assert cost(lambda: read(large, "")) < LINEAR * cost(lambda: read(small, ""))


def test_two_instances_with_one_id() -> None:
    """A detection, a quarantine or a fault would name two instances at once."""
    one = with_instance().instances[0]
    problems = problems_of(channel_file(one, replace(one, title="Another")))
    assert [(found.reason, found.place) for found in problems] == [
        (Reason.DUPLICATE_ID, "instances[1].id")
    ]
