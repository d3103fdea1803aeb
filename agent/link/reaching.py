"""To reach the cloud: TCP and TLS, before anything is said.

Time for this is counted apart from the time for a welcome, and is longer. When a whole fleet comes
back at once, handshakes queue up at the cloud: who leaves that queue after a few seconds and joins
it again makes it longer for everybody, and nobody gets to its end.
"""

import asyncio

import grpc
import grpc.aio

from agent.link.limits import LIMITS

FAILED = frozenset({grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN})


async def reach(channel: grpc.aio.Channel) -> None:
    """Return once connected, or once it is known to fail: the next call says why. TimeoutError."""
    async with asyncio.timeout(LIMITS.connect_seconds):
        state = channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY and state not in FAILED:
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)
