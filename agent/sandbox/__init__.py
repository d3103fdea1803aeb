"""The cage that a role puts itself into: after it has acquired, before it loops.

`lock_down` takes everything away that the role's profile does not name, in this order: Python is
made fit for a life without files, resource limits, no_new_privs, Landlock, bounding set and
capabilities, dumpable, and last the seccomp filter, which forbids all of the steps before. It
can't be undone. What the kernel lacks is said in the result, never passed over.
"""

import os
import resource
import socket
from collections.abc import Mapping

from agent.channel import send
from agent.linux import PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, prctl
from agent.privileges import drop_bounding, narrow
from agent.sandbox import interpreter, landlock, seccomp_filter
from agent.sandbox.errors import SandboxError
from agent.sandbox.profiles import (
    COLLECTOR_CONNECTOR,
    COLLECTOR_PSUTIL,
    COLLECTOR_SEEDING,
    EVALUATOR,
    LINK,
    Profile,
)

__all__ = [
    "COLLECTOR_CONNECTOR",
    "COLLECTOR_PSUTIL",
    "COLLECTOR_SEEDING",
    "EVALUATOR",
    "LINK",
    "Profile",
    "SandboxError",
    "lock_down",
]


def lock_down(profile: Profile, channel: socket.socket | None = None) -> dict[str, str]:
    """Lock this process down for good; it must have one thread and all it will ever open.

    channel: to the supervisor, which is handed what tells of calls that are not permitted, and ends
    this process when it makes one; without it, the kernel does that.

    Returns what holds, one line per mechanism: ``{"landlock": "abi 7", "seccomp": "kill, …", …}``
    or ``missing: why``. Raises SandboxError where a step that the kernel offers fails; the role
    must not go on then.
    """
    interpreter.prepare()
    holds = {"profile": profile.name}
    try:
        holds["limits"] = _lower_limits(profile.limits)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        holds["no_new_privs"] = "set"
        holds["landlock"] = _restrict_files(profile)
        holds |= _drop_capabilities(profile)
        prctl(PR_SET_DUMPABLE, 0)
        holds["dumpable"] = "off"
    except OSError as error:
        raise SandboxError(f"{profile.name}: {error.strerror or error}") from error
    holds["seccomp"] = _load_filter(profile, channel)
    return holds


def _load_filter(profile: Profile, channel: socket.socket | None) -> str:
    if channel is None:
        return seccomp_filter.load(profile.calls)
    said, listener = seccomp_filter.load_with_listener(profile.calls)
    if listener is not None:
        send(channel, "locked", descriptors=[listener])
        os.close(listener)
    return said


def _lower_limits(limits: Mapping[int, int]) -> str:
    for which, wanted in limits.items():
        _, hard = resource.getrlimit(which)
        lowest = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(which, (lowest, lowest))
    return f"{len(limits)} set"


def _restrict_files(profile: Profile) -> str:
    if profile.no_landlock:
        return profile.no_landlock
    return landlock.restrict(
        readable=profile.readable,
        writable=profile.writable,
        connect_ports=profile.connect_ports,
        bind_ports=profile.bind_ports,
    )


def _drop_capabilities(profile: Profile) -> dict[str, str]:
    emptied = drop_bounding(profile.capabilities)
    left = narrow(profile.capabilities).permitted
    kept = [wanted.name for wanted in sorted(profile.capabilities) if left & 1 << wanted]
    return {
        "capabilities": ", ".join(kept) or "none",
        "bounding_set": "dropped" if emptied else "left: not permitted, powerless without exec",
    }
