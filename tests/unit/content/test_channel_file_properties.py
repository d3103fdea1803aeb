"""Any bytes given to the loader are refused, or pack back to the same bytes."""

from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from content.channel_file import (
    AddressPrefix,
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Sample,
    Severity,
    Signed,
    TemplateInstance,
    TemplateTypeReference,
    load,
    load_envelope,
    pack,
    pack_envelope,
)
from content.definitions import Rung, SchemaVersion
from content.problems import ContentError
from content.supply import Supply
from content.validator import validate
from tests.unit.content.examples import TYPES, VALUES_OF_EVERY_KIND

SUPPLY = Supply.of(TYPES, Rung.BPF_BTF)
UNSIGNED_32 = st.integers(0, (1 << 32) - 1)
UNSIGNED_64 = st.integers(0, (1 << 64) - 1)
SIGNED_64 = st.integers(-(1 << 63), (1 << 63) - 1).map(Signed)
PREFIXES = st.builds(AddressPrefix, st.binary(max_size=17), st.integers(0, 200))
VALUES = st.one_of(st.binary(max_size=20), UNSIGNED_64, SIGNED_64, PREFIXES)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
CRITERIA = st.builds(
    Criterion,
    UNSIGNED_32,
    st.sampled_from(Operator),
    st.lists(VALUES, max_size=3).map(tuple),
    st.booleans(),
    st.booleans(),
)
INSTANCES = st.builds(
    TemplateInstance,
    TEXTS,
    st.sampled_from(Disposition),
    st.sampled_from(Severity),
    TEXTS,
    TEXTS,
    st.lists(TEXTS, max_size=2).map(tuple),
    st.lists(TEXTS, max_size=2).map(tuple),
    st.lists(st.builds(Clause, st.lists(CRITERIA, max_size=3).map(tuple)), max_size=2).map(tuple),
    st.lists(
        st.builds(Sample, TEXTS, st.booleans(), st.dictionaries(UNSIGNED_32, VALUES, max_size=3)),
        max_size=2,
    ).map(tuple),
)
REFERENCES = st.builds(
    TemplateTypeReference,
    st.sampled_from([1, 2, 3, 4, 5]),
    st.builds(SchemaVersion, UNSIGNED_32, UNSIGNED_32),
    st.one_of(
        st.binary(max_size=33),
        st.sampled_from([template_type.fingerprint for template_type in TYPES.values()]),
    ),
    UNSIGNED_32,
)
CHANNEL_FILES = st.builds(
    ChannelFile, REFERENCES, UNSIGNED_64, st.lists(INSTANCES, max_size=3).map(tuple)
)
GOOD = pack(VALUES_OF_EVERY_KIND)


@given(st.binary(max_size=300))
@example(b"\x0a\x00")
@example(b"\x0a\x02\x12\x00")
def test_any_bytes(data: bytes) -> None:
    """Bytes could be read as content that they don't say, or bring the loader down."""
    with suppress(ContentError):
        assert pack(load(data)) == data
    with suppress(ContentError):
        assert pack_envelope(load_envelope(data)) == data


@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 8), st.binary(max_size=8))))
def test_any_damage(edits: list[tuple[int, int, bytes]]) -> None:
    """A good file with pieces cut out and put in could be read as what it does not say."""
    data = GOOD
    for position, removed, inserted in edits:
        data = data[:position] + inserted + data[position + removed :]
    with suppress(ContentError):
        assert pack(load(data)) == data


@given(CHANNEL_FILES)
def test_any_values(channel_file: ChannelFile) -> None:
    """Values would not survive packing, or bring the validator down."""
    assert load(pack(channel_file)) == channel_file
    validate(channel_file, SUPPLY, TYPES)
