"""The digest of a Template Instance: what it is called whatever file it came in.

SHA-256 over a domain, the number and schema version of its Template Type, and its own canonical
bytes as they lie in the Channel File. The same instance in a new version of the file has the same
digest; one that was changed in any way, or is for another version of the type, has another one.
"""

import hashlib
import struct

from content.channel_file import INSTANCES, ChannelFile
from content.framing import split

DOMAIN = b"bulkhead Template Instance 1\0"
DIGEST_BYTES = 32
_TYPE = struct.Struct("!3I")


def instance_digests(payload: bytes, channel_file: ChannelFile) -> tuple[bytes, ...]:
    """The digest of each instance, in order; payload: the bytes that the file was loaded from."""
    reference = channel_file.template_type
    version = reference.version
    start = DOMAIN + _TYPE.pack(reference.number, version.major, version.minor)
    # What `load` accepts is canonical: the bytes in the payload are the only serialisation.
    items = split(payload, INSTANCES, "ChannelFile").items
    return tuple(hashlib.sha256(start + item).digest() for item in items)
