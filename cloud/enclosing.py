"""What is sent along with a welcome or an offer, so that a sensor need not ask for it.

A welcome brings the timestamp, an offer all metadata and the Channel File. It is one message for
all sensors for as long as the catalogue is the same. What finds no room is left out, and asked for.
"""

import importlib.metadata

from bulkhead.v1.sensor_service_pb2 import Enclosed, Offer, SessionResponse, Welcome
from cloud.catalogue import EMPTY, Catalogue, Library
from cloud.limits import CloudLimits
from cloud.offers import Release

VERSION = importlib.metadata.version("bulkhead")


def enclosed(catalogue: Catalogue, limit: int, channel_file: bytes) -> Enclosed:
    """The newest metadata and this file, as much as fits into so many bytes, in this order."""
    found, room = Enclosed(root_version=catalogue.newest_version("root")), limit
    parts = {role: catalogue.newest(role) or b"" for role in ("timestamp", "snapshot", "targets")}
    for name, data in {**parts, "channel_file": channel_file}.items():
        if len(data) <= room:
            setattr(found, name, data)
            room -= len(data)
    return found


class Enclosing:
    """Makes welcomes and offers."""

    def __init__(self, library: Library, limits: CloudLimits) -> None:
        self._library = library
        self._limit = limits.enclosed_bytes
        self._catalogue = EMPTY
        self._welcome = SessionResponse()
        self._offers: dict[bytes, SessionResponse] = {}

    def welcome(self) -> SessionResponse:
        """With what tells a sensor whether it has the newest metadata."""
        self._keep_up()
        return self._welcome

    async def offer(self, release: Release) -> SessionResponse:
        """With all that it takes to verify and to run it; StoreError passes."""
        catalogue = self._keep_up()
        if (made := self._offers.get(release.content_hash)) is not None:
            return made
        known = catalogue.releases.get(release.content_hash)
        data = b""
        if known is not None and not known.revoked and known.size_bytes <= self._limit:
            data = await self._library.signed_bytes(release.content_hash)
        offer = Offer(
            content_hash=release.content_hash,
            template_type=release.template_type,
            version=release.version,
            size_bytes=release.size_bytes,
            enclosed=enclosed(catalogue, self._limit, data),
        )
        response = SessionResponse(offer=offer)
        if catalogue is self._keep_up():
            self._offers[release.content_hash] = response
        return response

    def _keep_up(self) -> Catalogue:
        if self._catalogue is not self._library.catalogue or not self._welcome.HasField("welcome"):
            catalogue = self._catalogue = self._library.catalogue
            self._offers.clear()
            root, timestamp = catalogue.newest_version("root"), catalogue.newest("timestamp")
            told = Enclosed(root_version=root, timestamp=timestamp or b"")
            welcome = Welcome(cloud_version=VERSION, enclosed=told)
            self._welcome = SessionResponse(welcome=welcome)
        return self._catalogue
