"""What content is in force and what comes back: the pure part of an update."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lifecycle import Event, IllegalEventError, State
from agent.supervisor.limits import LIMITS
from agent.supervisor.manifest import Manifest, StoredFile
from agent.supervisor.manifest_document import from_document, to_document
from tests.unit.agent.content_documents import accepted, stored

ACTIONS = ["activate", "accept", "blame", "revoke", "without", "good"]


def three_versions() -> Manifest:
    """Versions 1 and 2 were accepted and superseded, version 3 is on probation."""
    manifest = accepted(Manifest(), stored("1", version=1))
    manifest = accepted(manifest, stored("2", version=2))
    return manifest.activate(stored("3", version=3))


def test_activated_file_is_in_force_on_probation() -> None:
    """A file that passed its trial would not be run, or would count as last known good at once."""
    manifest = Manifest().activate(stored("1"))
    assert manifest.active == {1: stored("1")}
    assert manifest.probation() == {"1" * 64}
    assert manifest.hashes() == {"1" * 64}


def test_accepted_file_is_off_probation() -> None:
    """A file that behaved would be rolled back for an unexplained death years later."""
    manifest = accepted(Manifest(), stored("1"))
    assert manifest.active[1].state is State.ACCEPTED
    assert not manifest.probation()
    assert manifest.last_known_good() == manifest


def test_accept_names_the_files_that_it_means() -> None:
    """One file's good behaviour would end the probation of all."""
    manifest = Manifest().activate(stored("1", 1)).activate(stored("2", 2))
    assert manifest.accept(["1" * 64, "f" * 64]).probation() == {"2" * 64}


def test_versions_before_are_kept_newest_first() -> None:
    """There would be nothing to go back to, or the oldest version would come back first."""
    manifest = three_versions()
    assert [file.version for file in manifest.previous[1]] == [2, 1]
    assert {file.state for file in manifest.previous[1]} == {State.SUPERSEDED}
    assert manifest.hashes() == {"1" * 64, "2" * 64, "3" * 64}


def test_only_so_many_previous_versions_are_kept() -> None:
    """The state folder would grow with every update."""
    manifest = Manifest()
    for version in range(1, 10):
        manifest = accepted(manifest, stored(str(version), version=version))
    assert [file.version for file in manifest.previous[1]] == [8, 7]
    assert LIMITS.previous_versions == 2


def test_file_replaced_on_probation_is_not_kept_as_good() -> None:
    """A version that nobody ever accepted could become last known good."""
    manifest = three_versions().activate(stored("4", version=4))
    assert [file.version for file in manifest.previous[1]] == [2, 1]


@pytest.mark.parametrize(
    ("event", "state"),
    [(Event.BLAMED, State.QUARANTINED), (Event.REVOKED, State.ROLLED_BACK)],
)
def test_giving_up_the_active_file_restores_the_one_before(event: Event, state: State) -> None:
    """Bad content would leave the host without any, or stay; or could be run again."""
    manifest = three_versions().give_up("3" * 64, event, "SIGNAL 11", "instance")
    assert manifest.active[1].version == 2
    assert manifest.active[1].state is State.ACCEPTED
    assert [file.version for file in manifest.previous[1]] == [1]
    refused = manifest.refusal("3" * 64)
    assert refused is not None
    assert (refused.state, refused.reason, refused.version) == (state, "SIGNAL 11", 3)
    assert refused.instance == "instance"


def test_giving_up_everything_leaves_nothing() -> None:
    """Giving up the last version would fail, or leave it in force."""
    manifest = three_versions()
    for letter in "321":
        manifest = manifest.give_up(letter * 64, Event.BLAMED, "SIGNAL 11", "")
    assert not manifest.active
    assert not manifest.hashes()
    assert [one.version for one in manifest.quarantine] == [3, 2, 1]


@pytest.mark.parametrize("event", [Event.BLAMED, Event.REVOKED])
def test_superseded_file_that_is_given_up_never_comes_back(event: Event) -> None:
    """A revoked version would be restored as soon as its successor has to go."""
    manifest = three_versions().give_up("2" * 64, event, "R", "")
    assert manifest.active[1].version == 3
    assert manifest.refusal("2" * 64) is not None
    manifest = manifest.give_up("3" * 64, Event.BLAMED, "R", "")
    assert manifest.active[1].version == 1


@pytest.mark.parametrize("event", [Event.BLAMED, Event.REVOKED])
def test_unknown_payload_that_is_given_up_is_refused_later(event: Event) -> None:
    """A revocation that comes before its file would be forgotten."""
    manifest = three_versions().give_up("9" * 64, event, "R", "")
    again = manifest.give_up("9" * 64, event, "R", "")
    assert manifest.active == three_versions().active
    assert manifest.refusal("9" * 64) is not None
    assert again == manifest


def test_only_final_events_give_a_file_up() -> None:
    """A caller's mistake would put a file in quarantine as if it were superseded."""
    with pytest.raises(IllegalEventError):
        three_versions().give_up("3" * 64, Event.TRIAL_PASSED, "R", "")


def test_quarantine_is_bounded() -> None:
    """A cloud that sends bad content for ever would fill memory and disk."""
    manifest = Manifest()
    for number in range(LIMITS.quarantined + 5):
        manifest = manifest.give_up(f"{number:064x}", Event.BLAMED, "R", "")
    assert len(manifest.quarantine) == LIMITS.quarantined
    assert manifest.refusal(f"{0:064x}") is None
    assert manifest.refusal(f"{LIMITS.quarantined + 4:064x}") is not None


def test_missing_payload_is_left_out_and_not_blamed() -> None:
    """A damaged file on disk would be refused for good when the cloud sends it again."""
    manifest = three_versions().without("3" * 64)
    assert manifest.active[1].version == 2
    assert not manifest.quarantine
    assert manifest.without("1" * 64).previous == {}


def test_last_known_good_has_only_accepted_files() -> None:
    """Going back to last known good would keep the content that is under suspicion."""
    manifest = three_versions().activate(stored("7", 2))
    good = manifest.last_known_good()
    assert {file.version for file in good.active.values()} == {2}
    assert not good.probation()
    assert good.refusal("3" * 64) is not None
    assert good.refusal("7" * 64) is not None


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(ACTIONS), st.integers(0, 15), st.integers(1, 2)), max_size=40
    )
)
def test_any_order_of_happenings_keeps_the_rules(steps: list[tuple[str, int, int]]) -> None:
    """Some order of updates, deaths and revocations would break the sensor or undo a refusal."""
    manifest, refused = Manifest(), set[str]()
    for step, (action, digit, number) in enumerate(steps):
        content_hash = f"{digit:x}" * 64
        manifest = _take(manifest, action, content_hash, stored(f"{digit:x}", number, step))
        refused |= {one.hash for one in manifest.quarantine}
        assert {file.state for file in manifest.active.values()} <= {State.ACTIVE, State.ACCEPTED}
        assert {f.state for fs in manifest.previous.values() for f in fs} <= {State.SUPERSEDED}
        assert all(1 <= len(files) <= 2 for files in manifest.previous.values())
        assert from_document(to_document(manifest)) == manifest
        assert all(number == file.template_type for number, file in manifest.active.items())
        assert not refused & manifest.hashes()


def _take(manifest: Manifest, action: str, content_hash: str, file: StoredFile) -> Manifest:
    if action == "activate":
        known = content_hash in manifest.hashes() or manifest.refusal(content_hash)
        return manifest if known else manifest.activate(file)
    if action == "accept":
        return manifest.accept(manifest.probation() & {content_hash})
    if action == "without":
        return manifest.without(content_hash)
    if action == "good":
        return manifest.last_known_good()
    event = Event.BLAMED if action == "blame" else Event.REVOKED
    return manifest.give_up(content_hash, event, "R", "")
