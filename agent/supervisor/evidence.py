"""A copy of one record's bytes, taken from its ring before anybody may write over it.

The supervisor never interprets an event, nor does it here: it copies bytes for an inquest, and
compares two words with what a verdict says. Layout of the rings: probes.ring.
"""

import mmap

from agent.supervisor.rings import WORD, RingFacts

HEADER_BYTES = 8
PAGE = mmap.PAGESIZE
_DATA = 2 * PAGE
"""Consumer page, producer page, data; the kernel maps its data twice in a row."""


def record_at(ring: RingFacts, position: int) -> bytes | None:
    """The bytes of the record at a position, without its header.

    None where it is not there, or not any more, or the memory can't be had.
    """
    if not 0 <= position <= ring.produced() - ring.stride or position % ring.stride:
        return None
    at = _DATA + position % ring.size
    start = at // PAGE * PAGE
    try:
        with mmap.mmap(
            ring.descriptor, at + ring.stride - start, mmap.MAP_SHARED, mmap.PROT_READ, offset=start
        ) as window:
            copied = window[at - start + HEADER_BYTES : at - start + ring.stride]
    except (OSError, ValueError):
        return None
    return copied if ring.produced() - position <= ring.size else None


def process_of(ring: RingFacts, position: int) -> tuple[int, int] | None:
    """Pid and start time in the record at a position; None where there is none any more."""
    record = record_at(ring, position)
    if record is None or not ring.identity:
        return None
    pid, start_time = (WORD.unpack_from(record, at)[0] for at in ring.identity)
    return pid, start_time
