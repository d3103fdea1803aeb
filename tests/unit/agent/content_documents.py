"""Stored files and manifests for the tests, by hand and by hypothesis."""

from hypothesis import strategies as st

from agent.lifecycle import FINAL, State
from agent.supervisor.limits import LIMITS
from agent.supervisor.manifest import (
    Manifest,
    Quarantined,
    QuarantinedInstance,
    Signature,
    StoredFile,
)

COUNTS = st.integers(0, 2**64 - 1)
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
SIGNATURES = st.binary(min_size=64, max_size=64).map(bytes.hex)


def stored(
    letter: str, template_type: int = 1, version: int = 1, state: State = State.ACTIVE
) -> StoredFile:
    """A file whose hash is 64 times one hexadecimal digit."""
    signatures = (Signature("d" * 64, "e" * 128),)
    return StoredFile(letter * 64, template_type, version, signatures, state)


def quarantined(letter: str, template_type: int = 1) -> QuarantinedInstance:
    """An instance whose digest is 64 times one hexadecimal digit."""
    return QuarantinedInstance(
        letter * 64, f"instance-{letter}", template_type, "1" * 64, "SIGNAL 11", 1_700_000_000, 2
    )


def accepted(manifest: Manifest, file: StoredFile) -> Manifest:
    """The manifest after a file was activated and behaved."""
    return manifest.activate(file).accept([file.hash])


def _file(template_type: int, states: frozenset[State]) -> st.SearchStrategy[StoredFile]:
    return st.builds(
        StoredFile,
        hash=HASHES,
        template_type=st.just(template_type),
        version=COUNTS,
        signatures=st.lists(st.builds(Signature, HASHES, SIGNATURES), max_size=3).map(tuple),
        state=st.sampled_from(sorted(states)),
    )


def _files(number: int) -> st.SearchStrategy[tuple[list[StoredFile], list[StoredFile]]]:
    active = _file(number, frozenset({State.ACTIVE, State.ACCEPTED}))
    previous = _file(number, frozenset({State.SUPERSEDED}))
    return st.tuples(
        st.lists(active, max_size=1), st.lists(previous, max_size=LIMITS.previous_versions)
    )


_QUARANTINE = st.lists(
    st.builds(
        Quarantined,
        hash=HASHES,
        template_type=COUNTS,
        version=COUNTS,
        state=st.sampled_from(sorted(FINAL)),
        reason=st.text(max_size=20),
        instance=st.text(max_size=20),
        since=COUNTS,
        deaths=COUNTS,
    ),
    max_size=3,
)

_INSTANCES = st.lists(
    st.builds(
        QuarantinedInstance,
        digest=HASHES,
        instance=st.text(max_size=20),
        template_type=COUNTS,
        file=HASHES,
        reason=st.text(max_size=20),
        since=COUNTS,
        deaths=COUNTS,
    ),
    max_size=3,
    unique_by=lambda one: one.digest,
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Any manifest that this sensor could write."""
    active, previous = {}, {}
    for number in draw(st.sets(st.integers(1, 50), max_size=4)):
        now, before = draw(_files(number))
        active.update({file.template_type: file for file in now})
        if before:
            previous[number] = tuple(before)
    orders = tuple(draw(st.lists(HASHES, max_size=3)))
    return Manifest(active, previous, tuple(draw(_QUARANTINE)), tuple(draw(_INSTANCES)), orders)
