"""Where the console listens: HOST:PORT, as the serving process takes it."""

import re
import socket

from cloud.errors import AddressError, CloudReason

HOST_PORT = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", re.ASCII)
LARGEST_PORT = 65535


def listening(address: str) -> socket.socket:
    """A socket that listens there; AddressError where it can't."""
    found = HOST_PORT.fullmatch(address)
    if not found or int(found[3]) > LARGEST_PORT:
        raise AddressError(
            CloudReason.ADDRESS_INVALID,
            f"{address!a:.100}: expected HOST:PORT, for example 127.0.0.1:8443 or [::1]:0",
        )
    family = socket.AF_INET6 if found[1] else socket.AF_INET
    try:
        return socket.create_server((found[1] or found[2], int(found[3])), family=family)
    except OSError as error:
        raise AddressError(
            CloudReason.ADDRESS_IN_USE,
            f"{address}: {error.strerror}; expected a free port on this host",
        ) from error
