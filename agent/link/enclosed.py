"""What the cloud has sent along with a welcome or an offer, so that it need not be asked.

Nothing of it is believed more than what is fetched: metadata go through the same verification, a
Channel File is compared with the same metadata. What is missing, too large or not good is fetched.
A server that says that there is no newer root could as well answer so when it is asked.
"""

from agent.link.limits import LIMITS
from agent.link.verifier import Fetch
from bulkhead.v1.sensor_service_pb2 import Enclosed, Offer

NOTHING = Enclosed()


def kept(offer: Offer) -> Offer:
    """What of an offer is held until it is its turn: what came with it only if it is small."""
    # A message of its own: a part of the one that was received would hold on to all of that.
    own = Offer(
        content_hash=offer.content_hash,
        template_type=offer.template_type,
        version=offer.version,
        size_bytes=offer.size_bytes,
    )
    if offer.enclosed.ByteSize() <= LIMITS.enclosed_bytes:
        own.enclosed.CopyFrom(offer.enclosed)
    return own


def before_asking(enclosed: Enclosed, ask: Fetch) -> Fetch:
    """A fetch of metadata that asks for what was not sent along."""

    async def fetch(role: str, version: int, limit: int) -> bytes | None:
        if role == "root":
            newest = enclosed.root_version
            return None if 0 < newest < version else await ask(role, version, limit)
        data: bytes = getattr(enclosed, role)
        return data if 0 < len(data) <= limit else await ask(role, version, limit)

    return fetch
