"""Failed tries to join are counted by address: whoever has too many has to wait.

No token can be guessed; this is for the work that trying makes. Time is the caller's, and what is
remembered is bounded: the oldest failure is forgotten first.
"""

import ipaddress
from collections import Counter, deque

from cloud.limits import CloudLimits

NETWORK_BITS = 64
"""Of an IPv6 address: whoever has one has all of its network."""


class Failures:
    """The failures of the last minute."""

    def __init__(self, limits: CloudLimits) -> None:
        self._limits = limits
        self._failures: deque[tuple[float, str]] = deque()
        self._counts: Counter[str] = Counter()

    def allowed(self, address: str, now: float) -> bool:
        """Whether another try from this address is looked at."""
        window = self._limits.join_failure_window_seconds
        while self._failures and now - self._failures[0][0] > window:
            self._forget_oldest()
        return self._counts[address] < self._limits.join_failures_by_address

    def failed(self, address: str, now: float) -> None:
        """One more."""
        if len(self._failures) >= self._limits.join_failures_held:
            self._forget_oldest()
        self._failures.append((now, address))
        self._counts[address] += 1

    def _forget_oldest(self) -> None:
        _, address = self._failures.popleft()
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]


def address_of(peer: str) -> str:
    """Whom a failure counts for, from what gRPC calls the peer (`ipv4:1.2.3.4:5`, `unix:`)."""
    kind, _, rest = peer.partition(":")
    host = rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    if kind != "ipv6":
        return host or kind
    try:
        network = ipaddress.ip_network((host.partition("%")[0], NETWORK_BITS), strict=False)
    except ValueError:
        return host
    return str(network)
