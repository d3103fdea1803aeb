"""The store knows who has which certificate, and what is revoked with what."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.issuing import AgentCertificate
from cloud.store import audit, certificates
from cloud.store.certificates import Expelled
from cloud.store.database import Database

NOW = 1_753_000_000
NOW_NS = NOW * 10**9


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A new store: web-1 has a, b renewed from it, c from b, and d by a token; web-2 has e."""
    made = Database.create(tmp_path / "cloud.sqlite")
    rows = [
        ("a", "web-1", "", NOW),
        ("b", "web-1", "a", NOW),
        ("c", "web-1", "b", NOW),
        ("d", "web-1", "", NOW),
        ("e", "web-2", "", NOW),
    ]
    with made.writing() as store:
        for serial, agent_id, parent, ends in rows:
            one = AgentCertificate(agent_id, serial, NOW, ends)
            certificates.add(store, one, "token", parent, NOW)
    yield made
    made.close()


def test_an_expelled_agent_is_refused_and_what_it_had_stays_so(database: Database) -> None:
    """A thief could go on once the host is let in again."""
    with database.writing() as store:
        certificates.expel_agent(store, "web-1", "ann", "stolen", NOW_NS)
        assert certificates.expelled(store) == Expelled(frozenset({"web-1"}), frozenset("abcd"))
        assert certificates.lift_agent(store, "web-1", "ann", NOW_NS, with_certificates=False)
        assert certificates.expelled(store) == Expelled(frozenset(), frozenset("abcd"))
        assert certificates.lift_agent(store, "web-1", "ann", NOW_NS, with_certificates=True)
        assert certificates.expelled(store) == Expelled()
        assert not certificates.lift_agent(store, "web-1", "ann", NOW_NS, with_certificates=True)
        actions = [one.action for one in audit.entries(store)]
    assert actions == ["expel", "lift expulsion", "lift expulsion"]


def test_what_was_renewed_from_a_revoked_certificate_is_revoked_with_it(database: Database) -> None:
    """A thief would only have to renew in time."""
    with database.writing() as store:
        found = certificates.revoke(store, "web-1", "b", "ann", "", NOW_NS)
        assert found == ["b", "c"]
        assert certificates.expelled(store) == Expelled(frozenset(), frozenset("bc"))
        certificates.expel_agent(store, "web-1", "ann", "", NOW_NS)
        assert certificates.lift_agent(store, "web-1", "ann", NOW_NS, with_certificates=True)
        assert certificates.expelled(store) == Expelled(frozenset(), frozenset("bc")), "stays"
        certificates.lift_certificate(store, "web-1", "c", "ann", NOW_NS)
        assert certificates.expelled(store) == Expelled(frozenset(), frozenset("b"))


def test_a_name_stays_taken_and_expired_certificates_are_forgotten(database: Database) -> None:
    """A token for any agent would open the names of absent hosts, or the store would grow."""
    with database.writing() as store:
        certificates.shown_by(store, AgentCertificate("web-2", "e", NOW, NOW))
        later = AgentCertificate("web-3", "f", NOW + 1, NOW + 9)
        certificates.add(store, later, "enroll", "", NOW + 1)
        assert [one.certificate for one in certificates.known(store)] == [later]
        assert certificates.is_taken(store, "web-2")
        assert certificates.is_taken(store, "web-3")
        assert not certificates.is_taken(store, "web-4")
        assert certificates.shown(store) == {"web-2": ("e", NOW)}
