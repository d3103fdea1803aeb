"""Where a process of the cloud listens, as an operator writes it."""

import re

from cloud.errors import AddressError, CloudReason

ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})", re.ASCII)
LARGEST_PORT = 65535


def require_address(listen: str) -> None:
    """AddressError unless it is HOST:PORT."""
    match = ADDRESS.fullmatch(listen)
    if not match or int(match["port"]) > LARGEST_PORT:
        raise AddressError(
            CloudReason.ADDRESS_INVALID,
            f"{listen!r:.100}: expected HOST:PORT, for example 127.0.0.1:7443 or [::1]:0",
        )


def in_use(listen: str) -> AddressError:
    """The refusal of an address where somebody else listens, or that is not of this host."""
    return AddressError(
        CloudReason.ADDRESS_IN_USE,
        f"{listen}: can't listen there; expected a free port on this host",
    )
