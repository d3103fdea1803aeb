"""What a cloud sends along with an offer, through the real link."""

import os
from collections.abc import Callable

import pytest

from bulkhead.v1 import sensor_service_pb2
from tests.process.link_cloud import ScriptedCloud, running_cloud
from tests.process.link_repository import Repository, repository, target
from tests.process.link_supervisor import running_link
from tests.process.test_link_content import PAYLOAD, envelope, offer, sha256

SMALL = PAYLOAD[:1000]


def whole() -> sensor_service_pb2.Enclosed:
    """All that it takes, as it is published now."""
    return repository().enclosed(envelope(SMALL))


def stale() -> sensor_service_pb2.Enclosed:
    """Metadata that were overtaken by others."""
    before = whole()
    repository().freshen()
    return before


def strange() -> sensor_service_pb2.Enclosed:
    """Metadata by keys of somebody else."""
    other = Repository()
    other.publish(target(SMALL))
    return other.enclosed(envelope(SMALL))


def damaged() -> sensor_service_pb2.Enclosed:
    """A Channel File that lacks its last byte."""
    return repository().enclosed(envelope(SMALL)[:-1])


def another() -> sensor_service_pb2.Enclosed:
    """Another Channel File than the one that was offered."""
    return repository().enclosed(envelope(b"rejected"))


def large() -> sensor_service_pb2.Enclosed:
    """More than a sensor keeps while an offer waits."""
    return repository().enclosed(b"x" * 200_000)


@pytest.mark.parametrize(
    ("along", "fetched"),
    [(whole, 0), (stale, 0), (strange, 0), (damaged, 1), (another, 1), (large, 1)],
)
def test_what_is_sent_along_is_not_fetched_unless_it_is_not_good(
    along: Callable[[], sensor_service_pb2.Enclosed], fetched: int
) -> None:
    """Each host would cost the cloud five calls; or what came along broken would reach nobody."""
    repository().publish(target(SMALL))
    enclosed = along()
    with running_cloud() as cloud:
        cloud.serve(repository())
        cloud.along = repository().enclosed()
        cloud.files[sha256(SMALL)] = [envelope(SMALL)]
        _takes_it(cloud, enclosed)
    assert len(cloud.fetches) == fetched
    assert bool(cloud.asked) == (along in {stale, strange, large})
    assert not cloud.of_kind("acknowledgement")


def _takes_it(cloud: ScriptedCloud, enclosed: sensor_service_pb2.Enclosed) -> None:
    with running_link(cloud.address) as supervisor:
        supervisor.until(lambda: supervisor.facts.get("connected") == 1)
        cloud.push(offer(sha256(SMALL), len(SMALL), enclosed))
        supervisor.until(lambda: bool(supervisor.of_kind("content")))
        (descriptor,) = supervisor.of_kind("content")[0].descriptors
        assert os.pread(descriptor, len(SMALL) + 1, 0) == SMALL
        os.close(descriptor)
