"""Rollback orders: what is carried out, what is refused and why."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.lifecycle import State
from tests.unit.agent.flow_world import DAY, NOW, World, content, hash_of, revocation


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A host of the group shop with three accepted versions."""
    made = World(tmp_path, group="shop")
    for version in (1, 2, 3):
        made.accepted(b"version %d" % version, version)
    yield made
    made.flow.store.close()


NAME = hash_of(b"version 3")
ACCEPTED = (3, State.ACCEPTED)


@pytest.mark.parametrize(
    ("reason", "different"),
    [
        ("ORDER_EXPIRED", {"issued": NOW - 2 * DAY, "expires": NOW}),
        ("ORDER_LIFETIME", {"expires": NOW + 93 * DAY}),
        ("ORDER_FOREIGN", {"group": "warehouse"}),
        ("ORDER_OTHER_CONTENT", {"from_version": 2}),
        ("ORDER_OTHER_CONTENT", {"template_type": 2}),
        ("SIGNATURE_INVALID", {"expires": 2**64, "sign": lambda _: b"s" * 64}),
    ],
)
def test_what_is_not_carried_out_has_its_reason(
    world: World, reason: str, different: dict[str, Any]
) -> None:
    """An old order, or one for other hosts, would take protection away here."""
    different = dict(different)
    if "sign" in different:
        message = world.order(NAME)
        fields = {**message.fields, "expires": different["expires"]}
        world.flow.revoke(type(message)("revoke", fields))
    else:
        world.flow.revoke(world.order(NAME, **different))
    assert world.last() == (NAME, State.ACCEPTED, [reason])
    assert world.active() == [ACCEPTED]
    assert not world.flow.manifest.orders


@pytest.mark.parametrize(
    "field", ["template_type", "from_version", "to_version", "group", "issued", "expires", "reason"]
)
def test_every_field_of_an_order_is_signed(world: World, field: str) -> None:
    """Who passes an order on could turn it into another one."""
    message = world.order(NAME)
    value = message[field]
    other = value + "x" if isinstance(value, str) else value + 1
    world.flow.revoke(type(message)("revoke", {**message.fields, field: other}))
    assert world.last() == (NAME, State.ACCEPTED, ["SIGNATURE_INVALID"])


@pytest.mark.parametrize("group", ["", "shop"])
def test_an_order_for_this_group_or_for_all_is_carried_out(world: World, group: str) -> None:
    """A host would keep content that was withdrawn from it."""
    world.flow.revoke(world.order(NAME, group=group))
    assert world.last() == (NAME, State.ROLLED_BACK, ["REVOKED"])
    assert world.active() == [(2, State.ACCEPTED)]


def test_nothing_above_the_version_that_an_order_names_stays(world: World) -> None:
    """Going back from 3 to 1 would end at 2."""
    world.flow.revoke(world.order(NAME, to_version=1))
    assert world.active() == [(1, State.ACCEPTED)]
    world.restart()
    assert world.active() == [(1, State.ACCEPTED)]


def test_an_order_told_again_changes_nothing_and_a_replay_is_refused(world: World) -> None:
    """Whoever has seen an order could undo, at any time, what came after it."""
    order = world.order(NAME)
    world.flow.revoke(order)
    before = world.flow.manifest
    world.flow.revoke(order)
    assert world.last() == (NAME, State.ROLLED_BACK, ["REVOKED"])
    assert world.flow.manifest == before
    # An operator of this host lifts the quarantine, and the content comes back.
    world.flow.put_in_force(world.flow.manifest.lift(NAME))
    world.accepted(b"version 3", 3)
    world.restart()
    world.flow.revoke(order)
    assert world.last() == (NAME, State.ACCEPTED, ["ORDER_REPLAYED"])
    assert world.active() == [ACCEPTED]
    world.flow.revoke(world.order(NAME, issued=NOW + 1))
    assert world.active() == [(2, State.ACCEPTED)]


def test_an_order_is_good_until_it_expires_by_this_host_s_clock(world: World) -> None:
    """A host that was off for a day would follow no order, or one of years ago."""
    order = world.order(NAME)
    world.wall = NOW + DAY
    world.flow.revoke(order)
    assert world.last()[2] == ["ORDER_EXPIRED"]
    world.wall = NOW + DAY - 1
    world.flow.revoke(order)
    assert world.last() == (NAME, State.ROLLED_BACK, ["REVOKED"])


def test_an_order_that_is_refused_says_nothing_of_content_that_is_not_here(world: World) -> None:
    """A server could make an honest cloud believe that this host has rejected good content."""
    name = hash_of(b"version 4")
    world.flow.revoke(revocation(name, group="warehouse"))
    assert world.last() == (name, State.UNDELIVERED, ["ORDER_FOREIGN"])
    world.flow.receive(content(b"version 4"))
    assert world.last() == (name, State.VERIFIED, [])
