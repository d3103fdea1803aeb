"""What comes along is what would be asked for, as long as it fits, and of now."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bulkhead.v1.sensor_service_pb2 import Enclosed
from cloud.catalogue import EMPTY, Library
from cloud.enclosing import Enclosing, enclosed
from cloud.limits import LIMITS
from cloud.offers import Release
from cloud.push import read_candidates, store
from cloud.revoke import Why, revoke
from cloud.signing import SigningKey
from cloud.store import releases
from cloud.store.database import Database
from tests.process.cloud_files import TYPES, channel_file, write

NOW_NS = 1_700_000_000_000_000_000
METADATA = {
    ("root", 1): b"first root",
    ("root", 2): b"second root",
    ("timestamp", 9): b"ninth",
    ("timestamp", 10): b"tenth",
    ("snapshot", 4): b"snapshot",
    ("targets", 3): b"targets",
}
KEY = SigningKey.generate()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A store with one release."""
    with closing(Database.create(tmp_path / "cloud.sqlite")) as made:
        push(made, tmp_path, 1)
        yield made


def push(database: Database, folder: Path, version: int) -> None:
    """Push a version."""
    file = write(folder / "file.channel", channel_file(version))
    store(database, read_candidates([file], TYPES, unsafe=False), [KEY], NOW_NS, unsafe=False)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (100, Enclosed(timestamp=b"tenth", snapshot=b"snapshot", targets=b"targets")),
        (12, Enclosed(timestamp=b"tenth", targets=b"targets")),
        (4, Enclosed()),
    ],
)
def test_the_newest_come_along_as_far_as_they_fit(limit: int, expected: Enclosed) -> None:
    """A sensor would be sent yesterday's metadata, or more than it keeps."""
    expected.root_version = 2
    catalogue = replace(EMPTY, metadata=METADATA)
    assert enclosed(catalogue, limit, b"x" * 200) == expected


def test_all_sensors_get_one_message_until_something_has_changed(
    database: Database, tmp_path: Path
) -> None:
    """Ten thousand copies would be made; or what was revoked would be sent on."""

    async def story() -> None:
        with closing(Library(database, LIMITS)) as library:
            await library.refresh()
            enclosing = Enclosing(library, LIMITS)
            (first,) = library.catalogue.releases.values()
            offer = await enclosing.offer(first)
            assert offer.offer.enclosed.channel_file == stored(database, first)
            assert await enclosing.offer(first) is offer
            assert enclosing.welcome() is enclosing.welcome()
            push(database, tmp_path, 2)
            await library.refresh()
            assert (await enclosing.offer(first)).offer.enclosed.channel_file
            revoke(database, first, [KEY], Why("bad", "test"), NOW_NS)
            await library.refresh()
            assert not (await enclosing.offer(first)).offer.enclosed.channel_file

    asyncio.run(story())


def test_what_is_too_large_is_not_even_read(database: Database) -> None:
    """Thirty-two mebibytes would be read from the store to be thrown away."""

    async def story() -> None:
        with closing(Library(database, LIMITS)) as library:
            await library.refresh()
            (release,) = library.catalogue.releases.values()
            limits = replace(LIMITS, enclosed_bytes=release.size_bytes - 1)
            offer = (await Enclosing(library, limits).offer(release)).offer
            assert (offer.size_bytes, offer.enclosed.channel_file) == (release.size_bytes, b"")

    asyncio.run(story())


def stored(database: Database, release: Release) -> bytes:
    """The release as it is fetched."""
    with database.reading() as connection:
        found = releases.signed_bytes(connection, release.content_hash)
    assert found
    return found
