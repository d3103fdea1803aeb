"""Payloads that are refused before anybody parses them, and orders to give one up."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.channel import Message, ProtocolViolationError
from agent.lifecycle import State
from agent.supervisor.limits import LIMITS
from content.signing_domains import CHANNEL_FILE_DOMAIN, ROLLBACK_DOMAIN
from tests.unit.agent.descriptors import none_lost
from tests.unit.agent.flow_world import KEY, PRIVATE, World, content, hash_of, memfd, revocation

NAME = hash_of(b"one")
SIGNATURE = PRIVATE.sign(CHANNEL_FILE_DOMAIN + b"one").hex()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A flow on an empty folder."""
    made = World(tmp_path)
    yield made
    made.flow.store.close()


def stranger(payload: bytes) -> str:
    """A good signature of somebody whom nobody trusts."""
    return Ed25519PrivateKey.generate().sign(CHANNEL_FILE_DOMAIN + payload).hex()


def sparse(size: int) -> int:
    """A sealed memfd of zeros."""
    descriptor = os.memfd_create("content", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, 15)
    return descriptor


def pipe() -> int:
    """The reading end of a pipe that nobody writes to."""
    reading, writing = os.pipe()
    os.close(writing)
    return reading


REFUSALS: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "no descriptor": ("NO_PAYLOAD", lambda: {"descriptors": ()}),
    "two descriptors": ("NO_PAYLOAD", lambda: {"descriptors": (memfd(b"one"), memfd(b"one"))}),
    "not sealed": ("NOT_SEALED", lambda: {"descriptors": (memfd(b"one", 0),)}),
    "writable": ("NOT_SEALED", lambda: {"descriptors": (memfd(b"one", 2 | 4),)}),
    "a pipe": ("NOT_SEALED", lambda: {"descriptors": (pipe(),)}),
    "a folder": ("NOT_SEALED", lambda: {"descriptors": (os.open("/", os.O_RDONLY),)}),
    "empty": ("EMPTY_FILE", lambda: {"descriptors": (memfd(b""),)}),
    "too large": (
        "FILE_TOO_LARGE",
        lambda: {"descriptors": (sparse(LIMITS.payload_bytes + 1),)},
    ),
    "other payload": ("HASH_MISMATCH", lambda: {"descriptors": (memfd(b"two"),)}),
    "cut payload": ("HASH_MISMATCH", lambda: {"descriptors": (memfd(b"on"),)}),
    "unknown key": ("UNKNOWN_KEY", lambda: {"key_id": "f" * 64}),
    "no key": ("SIGNATURE_INVALID", lambda: {"key_id": "", "signature": ""}),
    "key in capitals": ("SIGNATURE_INVALID", lambda: {"key_id": KEY.key_id.upper()}),
    "stranger's signature": ("SIGNATURE_INVALID", lambda: {"signature": stranger(b"one")}),
    "no signature": ("SIGNATURE_INVALID", lambda: {"signature": ""}),
    "cut signature": ("SIGNATURE_INVALID", lambda: {"signature": SIGNATURE[:-2]}),
    "signature in capitals": ("SIGNATURE_INVALID", lambda: {"signature": SIGNATURE.upper()}),
    "signature with spaces": ("SIGNATURE_INVALID", lambda: {"signature": " " + SIGNATURE}),
    "no hexadecimal": ("SIGNATURE_INVALID", lambda: {"signature": "g" * 128}),
    "type 0": ("UNKNOWN_TEMPLATE_TYPE", lambda: {"template_type": 0}),
    "type below 0": ("UNKNOWN_TEMPLATE_TYPE", lambda: {"template_type": -1}),
    "huge type": ("UNKNOWN_TEMPLATE_TYPE", lambda: {"template_type": 10**4000}),
}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_refusal_has_its_reason(world: World, name: str) -> None:
    """Bad content would be tried, or its author not learn what is wrong with it."""
    reason, different = REFUSALS[name]
    with none_lost():
        world.flow.receive(content(b"one", **different()))
    assert world.said == [(NAME, State.UNDELIVERED, [reason])]
    assert world.payloads() == set()
    assert world.flow.candidate_set() is None


def test_revocation_is_no_signature_of_content(world: World) -> None:
    """The signed order to give a payload up could be used to bring one in."""
    signature = PRIVATE.sign(ROLLBACK_DOMAIN + b"one").hex()
    world.flow.receive(content(b"one", signature=signature))
    assert world.last() == (NAME, State.UNDELIVERED, ["SIGNATURE_INVALID"])


@pytest.mark.parametrize("name", ["", "A" * 64, "../" * 20, "f" * 63, "f" * 65, "x" * 100_000])
def test_hash_that_is_none_ends_the_link(world: World, name: str) -> None:
    """A broken link could write anywhere, or overrun the message that tells it so."""
    with none_lost():
        messages = (content(b"one", hash=name), revocation("f" * 64))
        messages = (messages[0], Message("revoke", {**messages[1].fields, "hash": name}))
        with pytest.raises(ProtocolViolationError):
            world.flow.receive(messages[0])
        with pytest.raises(ProtocolViolationError):
            world.flow.revoke(messages[1])
    assert not world.said


def test_too_many_at_once_are_refused(world: World) -> None:
    """A link could fill the disk with files that wait for their trial."""
    for number in range(LIMITS.pending_content + 1):
        world.flow.receive(content(str(number).encode()))
    last = hash_of(str(LIMITS.pending_content).encode())
    assert world.last() == (last, State.UNDELIVERED, ["TOO_MANY_WAITING"])
    assert len(world.flow.waiting) == LIMITS.pending_content


def test_known_content_is_not_tried_twice(world: World) -> None:
    """Every new session with the cloud would start a trial of everything."""
    expected = [State.VERIFIED, State.TRIAL, State.ACTIVE]
    world.flow.receive(content(b"one"))
    for state in expected:
        if state is State.TRIAL:
            world.flow.candidate_set()
        elif state is State.ACTIVE:
            world.flow.passed(1)
        before = len(world.said)
        with none_lost():
            world.flow.receive(content(b"one"))
        assert world.said[before:] == [(NAME, state, [])]
    assert world.flow.candidate_set() is None


def test_rubbish_in_the_name_of_active_content_is_no_news_of_it(world: World) -> None:
    """A broken link could make the cloud believe that good content was rejected."""
    world.accepted(b"one", 1)
    with none_lost():
        world.flow.receive(content(b"one", descriptors=(memfd(b"two"),)))
    assert world.last() == (NAME, State.ACCEPTED, [])


@given(
    fields=st.fixed_dictionaries(
        {
            "hash": st.text(max_size=70) | st.just(NAME),
            "signatures": st.lists(
                st.none()
                | st.integers()
                | st.lists(st.text(max_size=130) | st.just(KEY.key_id) | st.none(), max_size=3)
            ),
            "template_type": st.integers(),
        }
    ),
    order=st.fixed_dictionaries(
        {
            **dict.fromkeys(("from_version", "to_version", "issued", "expires"), st.integers()),
            **dict.fromkeys(("group", "reason"), st.text(max_size=50)),
        }
    ),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_no_rubbish_ends_the_supervisor(
    world: World, fields: dict[str, Any], order: dict[str, Any]
) -> None:
    """Some message of a broken link would end the supervisor, or be content."""
    for message, take in (
        (Message("content", fields, b"", (memfd(b"one"),)), world.flow.receive),
        (Message("revoke", {**fields, **order}), world.flow.revoke),
    ):
        with contextlib.suppress(ProtocolViolationError):
            take(message)
        for descriptor in message.descriptors:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)
    assert not world.flow.waiting
    assert not world.flow.manifest.quarantine


def test_revocation_gives_the_active_file_up_for_good(world: World) -> None:
    """Revoked content would stay in force, or come back with the next start."""
    first = world.accepted(b"one", 1)
    second = world.accepted(b"two", 2)
    world.flow.revoke(world.order(second))
    assert world.last() == (second, State.ROLLED_BACK, ["REVOKED"])
    assert world.active() == [(1, State.ACCEPTED)]
    world.restart()
    world.flow.receive(content(b"two"))
    assert world.last() == (second, State.ROLLED_BACK, ["ROLLED_BACK"])
    world.flow.revoke(world.order(first))
    assert world.active() == []


def test_revocation_reaches_versions_that_were_superseded(world: World) -> None:
    """A revoked version would come back once the one after it has to go."""
    first, second = world.accepted(b"one", 1), world.accepted(b"two", 2)
    world.flow.revoke(world.order(first))
    assert world.active() == [(2, State.ACCEPTED)]
    world.flow.revoke(world.order(second))
    assert world.active() == []
    assert world.payloads() == set()


@pytest.mark.parametrize("during_trial", [True, False])
def test_revocation_reaches_files_that_wait_or_are_tried(
    world: World,
    during_trial: bool,  # noqa: FBT001
) -> None:
    """A file revoked during its trial would be active a second later."""
    world.flow.receive(content(b"one"))
    if during_trial:
        world.flow.candidate_set()
    world.flow.revoke(world.order(NAME))
    assert world.states(NAME)[-2:] == [State.REJECTED, State.ROLLED_BACK]
    assert world.flow.candidate_set() is None
    world.flow.passed(1)
    assert world.active() == []
    world.flow.receive(content(b"one"))
    assert world.last() == (NAME, State.ROLLED_BACK, ["ROLLED_BACK"])
    assert world.payloads() == set()


def test_revocation_that_comes_first_is_remembered(world: World) -> None:
    """A link that holds content back until after its revocation would get it accepted."""
    world.flow.revoke(world.order(NAME))
    world.restart()
    world.flow.receive(content(b"one"))
    assert world.last() == (NAME, State.ROLLED_BACK, ["ROLLED_BACK"])


@pytest.mark.parametrize(
    "different",
    [
        {"signature": SIGNATURE},
        {"signature": PRIVATE.sign(CHANNEL_FILE_DOMAIN + bytes.fromhex(NAME)).hex()},
        {"signature": PRIVATE.sign(bytes.fromhex(NAME)).hex()},
        {"signature": ""},
        {"signature": "xyz"},
        {"key_id": "f" * 64},
    ],
)
def test_revocation_without_a_good_signature_changes_nothing(
    world: World, different: dict[str, Any]
) -> None:
    """Anybody on the network could switch content off."""
    world.accepted(b"one", 1)
    world.flow.revoke(world.order(NAME, **different))
    assert world.last() == (NAME, State.ACCEPTED, ["SIGNATURE_INVALID"])
    assert world.active() == [(1, State.ACCEPTED)]
    assert not world.flow.manifest.quarantine


def test_revocation_again_writes_nothing(world: World, tmp_path: Path) -> None:
    """Every session with the cloud would wear the disk with what is known already."""
    world.flow.revoke(world.order(NAME))
    before = (tmp_path / "manifest.json").stat().st_ino
    world.flow.revoke(world.order(NAME))
    assert (tmp_path / "manifest.json").stat().st_ino == before
    assert world.last() == (NAME, State.ROLLED_BACK, ["REVOKED"])


def test_old_content_with_a_good_signature_is_no_way_back(world: World) -> None:
    """A cloud that is not ours any more could bring back what was replaced or revoked."""
    names = [world.accepted(b"version %d" % version, version) for version in (1, 2, 3)]
    world.flow.receive(content(b"version 1"))
    assert world.flow.candidate_set() is not None
    world.flow.passed(1)
    assert world.last() == (names[0], State.REJECTED, ["VERSION_NOT_NEWER"])
    world.flow.revoke(world.order(names[2]))
    assert world.active() == [(2, State.ACCEPTED)]
    world.flow.receive(content(b"version 3"))
    assert world.last() == (names[2], State.ROLLED_BACK, ["ROLLED_BACK"])
    world.flow.receive(content(b"version 1"))
    world.flow.candidate_set()
    world.flow.passed(1)
    assert world.active() == [(2, State.ACCEPTED)]


def test_two_versions_are_kept_to_go_back_to(world: World) -> None:
    """Without the network, a host would have nothing left after the second order."""
    names = [world.accepted(b"version %d" % version, version) for version in (1, 2, 3, 4)]
    for name in names[:1:-1]:
        world.flow.revoke(world.order(name))
    assert world.active() == [(2, State.ACCEPTED)]
    world.restart()
    assert world.active() == [(2, State.ACCEPTED)]
