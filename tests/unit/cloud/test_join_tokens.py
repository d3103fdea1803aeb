"""A token lets in whom it was made for, as long and as often as it says, and nobody else."""

from dataclasses import replace

import pytest

from cloud.enrolment.failures import Failures, address_of
from cloud.join_tokens import ANY_AGENT, Token, TokenRefusal, digest_of, judge, new_secret, parse
from cloud.limits import CloudLimits

ID, TEXT = new_secret()
DIGEST = digest_of(TEXT)
FOR_WEB_1 = Token(ID, DIGEST, "web-1", "", expires_unix=1000, uses_left=1)
FOR_ANY = replace(FOR_WEB_1, agent_id=ANY_AGENT)


def test_a_token_is_found_by_its_id_and_kept_as_a_digest() -> None:
    """Whoever reads the store could join."""
    assert parse(TEXT) == (ID, DIGEST)
    assert TEXT.partition(".")[2] not in repr(FOR_WEB_1)
    assert new_secret()[1] != TEXT


NO_TOKENS = {
    "empty": "",
    "a letter": "x",
    "too short": TEXT[:-1],
    "too long": TEXT + "A",
    "newline": TEXT + "\n",
    "upper case": "ABCDEF" + TEXT[6:],
    "not ASCII": "é" * len(TEXT),
}


@pytest.mark.parametrize("name", NO_TOKENS)
def test_what_is_no_token_is_not_looked_up(name: str) -> None:
    """Garbage would reach the store."""
    assert parse(NO_TOKENS[name]) is None


REFUSED = {
    "unknown": (None, DIGEST, "web-1", TokenRefusal.UNKNOWN),
    "another secret": (FOR_WEB_1, bytes(32), "web-1", TokenRefusal.UNKNOWN),
    "unknown, digest of zeros": (None, bytes(32), "web-1", TokenRefusal.UNKNOWN),
    "withdrawn": (replace(FOR_WEB_1, withdrawn=True), DIGEST, "web-1", TokenRefusal.WITHDRAWN),
    "expired": (replace(FOR_WEB_1, expires_unix=500), DIGEST, "web-1", TokenRefusal.EXPIRED),
    "used up": (replace(FOR_WEB_1, uses_left=0), DIGEST, "web-1", TokenRefusal.USED_UP),
    "other agent": (FOR_WEB_1, DIGEST, "web-2", TokenRefusal.OTHER_AGENT),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_token_that_is_not_good_is_refused(case: str) -> None:
    """Whoever finds an old join file could join."""
    token, digest, agent_id, because = REFUSED[case]
    assert judge(token, digest, agent_id, 500.0, taken=False) is because


def test_a_token_for_any_agent_lets_nobody_pose_as_one_that_is_there() -> None:
    """Whoever joins with it could take another host's name, and end its sessions."""
    assert judge(FOR_ANY, DIGEST, "web-2", 999.9, taken=False) is None
    assert judge(FOR_ANY, DIGEST, "web-2", 999.9, taken=True) is TokenRefusal.AGENT_ID_TAKEN
    assert judge(FOR_WEB_1, DIGEST, "web-1", 999.9, taken=True) is None


def test_an_address_that_fails_too_often_has_to_wait_and_no_other() -> None:
    """Trying tokens would cost the cloud as much as the attacker likes, or lock everybody out."""
    failures = Failures(CloudLimits(join_failures_by_address=2, join_failures_held=3))
    failures.failed("a", 0.0)
    assert failures.allowed("a", 1.0)
    failures.failed("a", 1.0)
    assert not failures.allowed("a", 2.0)
    assert failures.allowed("b", 2.0)
    assert not failures.allowed("a", 60.0)
    assert failures.allowed("a", 60.5), "the first one is forgotten after a minute"
    for number in range(10):
        failures.failed(f"c{number}", 60.5)
    assert len(failures._failures) == 3
    assert len(failures._counts) == 3


PEERS = {
    "ipv4:10.1.2.3:4567": "10.1.2.3",
    "ipv6:%5B2001:db8:1:2:3:4:5:6%5D:4567": "2001:db8:1:2::/64",
    "ipv6:[2001:db8:1:2::9]:4567": "2001:db8:1:2::/64",
    "unix:": "unix",
    "ipv6:[nonsense]:1": "nonsense",
}


@pytest.mark.parametrize("peer", PEERS)
def test_failures_count_for_a_host_whatever_its_port(peer: str) -> None:
    """A new connection, or another address of the same network, would begin anew."""
    assert address_of(peer) == PEERS[peer]
