"""Datagrams of the process connector, and what their sequence says of those that are missing."""

import struct

import pytest

from probes.notifications import Notification, Order, Sequences, What, parse, request


def datagram(what: int, processor: int, sequence: int, *numbers: int, index: int = 1) -> bytes:
    """A notification as the kernel sends it."""
    event = struct.pack("=IIQ6I", what, processor, 10**9, *(*numbers, *[0] * 6)[:6])
    connector = struct.pack("=IIIIHH", index, index, sequence, 0, len(event), 0)
    return struct.pack("=IHHII", 36 + len(event), 3, 0, 0, 0) + connector + event


def exec_on(processor: int, sequence: int) -> Notification:
    """Some notification with a place in a sequence."""
    return Notification(What.EXEC, processor, sequence, (1, 1, 0, 0))


def test_fork() -> None:
    """If it failed, lineage would be kept for the wrong processes."""
    found = parse(datagram(What.FORK, 3, 77, 10, 11, 12, 13))
    assert found == Notification(What.FORK, 3, 77, (10, 11, 12, 13))


@pytest.mark.parametrize("length", range(76))
def test_cut_datagrams_are_no_notifications(length: int) -> None:
    """If it failed, a short datagram would end the collector."""
    whole = datagram(What.EXIT, 0, 1, 5, 5)
    found = parse(whole[:length])
    assert found is None or (length >= 68 and found == parse(whole))


def test_other_connectors_are_passed_over() -> None:
    """If it failed, another kernel module's message would be taken for a process."""
    assert parse(datagram(What.EXEC, 0, 1, 5, 5, index=9)) is None


def test_request_is_what_the_kernel_reads() -> None:
    """If it failed, the kernel would never begin."""
    sent = request(Order.LISTEN)
    assert struct.unpack_from("=I", sent)[0] == len(sent) == 40
    assert struct.unpack_from("=II", sent, 16) == (1, 1)
    assert struct.unpack_from("=H", sent, 32) == (4,)
    assert struct.unpack_from("=I", sent, 36) == (Order.LISTEN,)


def test_gaps_are_counted_by_processor() -> None:
    """If it failed, lost notifications would be lost without a word, or be invented."""
    sequences = Sequences()
    seen = [(0, 5), (1, 100), (0, 6), (1, 104), (0, 7), (1, 105), (0, 9)]
    assert [sequences.lost_before(exec_on(*one)) for one in seen] == [0, 0, 0, 3, 0, 0, 1]


def test_sequence_wraps_around() -> None:
    """If it failed, four billion notifications would be reported as lost at once."""
    sequences = Sequences()
    seen = [2**32 - 1, 0, 2]
    assert [sequences.lost_before(exec_on(0, one)) for one in seen] == [0, 0, 1]


def test_a_sequence_that_begins_anew_is_no_loss() -> None:
    """If it failed, a processor that was switched on again would be a flood of losses."""
    sequences = Sequences()
    assert [sequences.lost_before(exec_on(0, one)) for one in (1000, 3, 4)] == [0, 0, 0]


def test_an_overrun_and_its_gap_are_counted_once() -> None:
    """If it failed, a loss would be counted twice: when it is known, and when it shows."""
    sequences = Sequences()
    sequences.lost_before(exec_on(0, 1))
    counted = sequences.overrun() + sequences.overrun()
    counted += sequences.lost_before(exec_on(0, 7))
    assert counted == 5
    assert sequences.lost_before(exec_on(0, 9)) == 1


def test_an_overrun_counts_before_a_gap_shows() -> None:
    """If it failed, a loss at the very end would never be counted."""
    assert Sequences().overrun() == 1


def test_acknowledgements_of_older_kernels_are_in_no_sequence() -> None:
    """If it failed, every start would be a loss."""
    sequences = Sequences()
    acknowledgement = Notification(What.ACKNOWLEDGEMENT, 2**32 - 1, 900, (0, 0, 0, 0))
    sequences.lost_before(acknowledgement)
    assert sequences.lost_before(replaced(acknowledgement, 4)) == 0


def replaced(one: Notification, sequence: int) -> Notification:
    """The same with another sequence number."""
    return Notification(one.what, one.processor, sequence, one.numbers)
