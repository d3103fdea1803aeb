"""The manifest as it lies on disk: what was written is read back, and nothing else is."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lifecycle import Event
from agent.supervisor.manifest import Manifest
from agent.supervisor.manifest_document import ManifestError, from_document, to_document
from tests.unit.agent.content_documents import accepted, manifests, quarantined, stored

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["active", "a" * 64, "e" * 128, "superseded"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["format", "active", "previous", "quarantine", "instances", "hash", "state", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def example() -> dict[str, Any]:
    """A document with something in every place."""
    manifest = accepted(Manifest(), stored("1", version=1))
    manifest = manifest.activate(stored("2", version=2)).activate(stored("3", 2))
    manifest = manifest.give_up("9" * 64, Event.REVOKED, "REVOKED", "")
    manifest = manifest.leave_out(quarantined("7"))
    written: dict[str, Any] = json.loads(json.dumps(to_document(manifest)))
    return written


@given(manifests())
def test_round_trip(manifest: Manifest) -> None:
    """After a restart the sensor would run something else than before."""
    assert from_document(json.loads(json.dumps(to_document(manifest)))) == manifest


@given(JSON)
def test_rubbish_is_refused(document: Any) -> None:
    """A damaged manifest would end the supervisor at every start."""
    with pytest.raises(ManifestError):
        from_document(document)


@given(st.sampled_from(["active", "previous", "quarantine", "instances"]), JSON)
def test_rubbish_in_a_list_is_refused(name: str, value: Any) -> None:
    """A damaged list would be taken for an empty one, and active content be dropped silently."""
    document = {**example(), name: value}
    try:
        from_document(document)
    except ManifestError:
        return
    assert value == []


@given(st.data())
def test_rubbish_in_an_entry_is_refused(data: st.DataObject) -> None:
    """A damaged entry would be run, or end the supervisor later when it is acted on."""
    document = example()
    entries = data.draw(st.sampled_from([document["active"], document["quarantine"]]))
    entry = data.draw(st.sampled_from(entries))
    name = data.draw(st.sampled_from(sorted(entry)))
    before, entry[name] = entry[name], data.draw(JSON)
    try:
        manifest = from_document(document)
    except ManifestError:
        return
    assert type(entry[name]) is type(before)
    assert json.loads(json.dumps(to_document(manifest))) == document


@pytest.mark.parametrize("place", ["active", "previous", "quarantine"])
@pytest.mark.parametrize("state", ["received", "trial", "rejected", "superseded", "active", "no"])
def test_state_that_a_place_can_not_have_is_refused(place: str, state: str) -> None:
    """A file with an impossible state would end the supervisor when it is blamed or replaced."""
    document = example()
    allowed = {"active": "active", "previous": "superseded", "quarantine": "rejected"}
    document[place][0]["state"] = state
    if state == allowed[place]:
        assert from_document(document) != Manifest()
    else:
        with pytest.raises(ManifestError, match=state):
            from_document(document)


@pytest.mark.parametrize(
    "name", ["../../etc/shadow", "A" * 64, "a" * 63, "a" * 65, "a" * 63 + "\n", "a" * 64 + "\n", ""]
)
def test_hash_that_is_no_hash_is_refused(name: str) -> None:
    """A path could be built from what lies in the manifest."""
    for place in ("active", "previous", "quarantine"):
        document = example()
        document[place][0]["hash"] = name
        with pytest.raises(ManifestError):
            from_document(document)


def test_two_active_files_of_one_type_are_refused() -> None:
    """Which of two files is in force would depend on their order."""
    document = example()
    document["active"].append(copy.deepcopy(document["active"][0]))
    with pytest.raises(ManifestError, match="too many"):
        from_document(document)


def test_unknown_members_are_refused() -> None:
    """A manifest of another version would be half understood."""
    with pytest.raises(ManifestError, match="too many"):
        from_document({**example(), "frozen": True})
    with pytest.raises(ManifestError, match="format 3"):
        from_document({**example(), "format": 4})
    with pytest.raises(ManifestError, match="format 3"):
        from_document({**example(), "format": True})


def with_one_signature() -> dict[str, Any]:
    """The example as the release before wrote it."""
    document = {**example(), "format": 2}
    del document["orders"]
    for entry in [*document["active"], *document["previous"]]:
        (signature,) = entry.pop("signatures")
        entry.update(signature)
    return document


def earlier() -> dict[str, Any]:
    """The example as the release before that wrote it."""
    document = {**with_one_signature(), "format": 1}
    del document["instances"]
    for entry in document["quarantine"]:
        del entry["since"], entry["deaths"]
    return document


def test_manifest_with_one_signature_is_read() -> None:
    """An update of the sensor would start without content."""
    assert from_document(with_one_signature()) == from_document(example())
    with pytest.raises(ManifestError, match="orders"):
        from_document({**with_one_signature(), "orders": []})


def test_manifest_of_an_earlier_release_is_read() -> None:
    """An update of the sensor would start without content, and with what was quarantined."""
    manifest = from_document(earlier())
    assert {file.hash for file in manifest.active.values()} == {"2" * 64, "3" * 64}
    assert [(one.hash, one.since, one.deaths) for one in manifest.quarantine] == [("9" * 64, 0, 0)]
    assert manifest.instances == ()
    assert from_document(to_document(manifest)) == manifest


@pytest.mark.parametrize(
    "more", [{"instances": []}, {"quarantine": [1]}, {"quarantine": [{"since": 1}]}]
)
def test_formats_are_not_mixed(more: dict[str, Any]) -> None:
    """A damaged manifest would be taken for one of the release before."""
    with pytest.raises(ManifestError):
        from_document({**earlier(), **more})


@pytest.mark.parametrize(
    "wrong", [{"digest": "../etc"}, {"file": ""}, {"since": -1}, {"deaths": "2"}, {"more": 1}]
)
def test_rubbish_for_an_instance_is_refused(wrong: dict[str, Any]) -> None:
    """A damaged quarantine would be taken for an empty one, and the poison be run again."""
    document = example()
    document["instances"] = [{**document["instances"][0], **wrong}]
    with pytest.raises(ManifestError):
        from_document(document)


def test_instance_in_quarantine_twice_is_refused() -> None:
    """Lifting it would leave it in quarantine."""
    document = example()
    document["instances"] *= 2
    with pytest.raises(ManifestError, match="twice"):
        from_document(document)
