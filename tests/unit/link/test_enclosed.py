"""What a cloud sends along saves calls, and changes nothing of what is believed."""

import asyncio
from typing import Any

import pytest

from agent.link.enclosed import before_asking, kept
from agent.link.errors import FetchRefusedError
from agent.link.limits import LIMITS
from bulkhead.v1.sensor_service_pb2 import Enclosed, Offer
from tests.process.link_repository import Repository, target
from tests.unit.link.verifier_world import NEW, OLD, Sensor

ROLES = ("timestamp", "snapshot", "targets")


class Asked:
    """A cloud that is asked, and notes for what."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.roles: list[str] = []

    async def __call__(self, role: str, version: int, limit: int) -> bytes | None:
        """As metadata are fetched."""
        self.roles.append(role)
        return await self.repository.fetch(role, version, limit)


def asked_for(sensor: Sensor, repository: Repository, enclosed: Enclosed) -> list[str]:
    """A refresh with what came along: what the cloud was asked for nevertheless."""
    cloud = Asked(repository)
    asyncio.run(sensor.verifier.refresh(before_asking(enclosed, cloud)))
    return cloud.roles


def test_what_came_along_is_not_asked_for(sensor: Sensor, repository: Repository) -> None:
    """A push to ten thousand hosts would cost the cloud five calls for each of them."""
    repository.publish(target(NEW))
    assert asked_for(sensor, repository, repository.enclosed()) == []
    assert sensor.has(NEW)


@pytest.mark.parametrize("role", ROLES)
def test_what_is_missing_is_asked_for(sensor: Sensor, repository: Repository, role: str) -> None:
    """A cloud that could not send everything along would reach nobody."""
    repository.publish(target(NEW))
    enclosed = repository.enclosed()
    enclosed.ClearField(role)  # type: ignore[arg-type]
    assert asked_for(sensor, repository, enclosed) == [role]
    assert sensor.has(NEW)


def test_a_newer_root_is_asked_for(sensor: Sensor, repository: Repository) -> None:
    """A replaced key would count on, since the cloud had said something about another root."""
    repository.rotate("targets")
    repository.publish(target(NEW))
    assert asked_for(sensor, repository, repository.enclosed()) == ["root"]
    assert sensor.verifier.root_version == 2
    unsaid = repository.enclosed()
    unsaid.ClearField("root_version")
    assert asked_for(sensor, repository, unsaid) == ["root"]


def test_what_is_larger_than_a_sensor_takes_is_asked_for(
    sensor: Sensor, repository: Repository
) -> None:
    """Metadata could be larger than the caps only because they were not fetched."""
    enclosed = repository.enclosed()
    enclosed.timestamp = b" " * LIMITS.timestamp_bytes + enclosed.timestamp
    assert asked_for(sensor, repository, enclosed) == ["timestamp"]


def other_root(mine: Repository) -> Enclosed:
    """Everything by keys of somebody else."""
    del mine
    other = Repository()
    other.publish(target(NEW))
    return other.enclosed()


def older(mine: Repository) -> Enclosed:
    """What was the newest before."""
    mine.publish(target(b"something"))
    enclosed = mine.enclosed()
    mine.publish(target(b"something else"))
    return enclosed


@pytest.mark.parametrize("make", [other_root, older])
def test_it_is_believed_no_more_than_what_is_fetched(
    sensor: Sensor, repository: Repository, make: Any
) -> None:
    """A server that was taken over could publish content by sending it along."""
    enclosed = make(repository)
    sensor.refresh()
    with pytest.raises(FetchRefusedError) as refused:
        asked_for(sensor, repository, enclosed)
    assert refused.value.reason in {"METADATA_UNSIGNED", "METADATA_VERSION"}
    assert sensor.has(OLD)
    assert not sensor.has(NEW)


def test_an_offer_that_waits_holds_little() -> None:
    """Sixty-four offers of four mebibytes would be held in memory at once."""
    small = Offer(version=3, enclosed=Enclosed(channel_file=b"x" * 1000))
    assert kept(small) == small
    large = Offer(version=3, enclosed=Enclosed(channel_file=b"x" * LIMITS.enclosed_bytes))
    assert kept(large) == Offer(version=3)
    padded = Offer.FromString(small.SerializeToString() + b"\xfa\x01" + b"\x80\x01" + b"x" * 128)
    assert kept(padded) == small
