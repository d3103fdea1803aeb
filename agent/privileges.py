"""Who may do what: the supervisor's own capabilities, and the step from it into a role.

`become` runs in a child between fork and exec. It closes what the role must not see, changes the
user, gives up capabilities and ties the child's life to the supervisor's, in the order in which
each step still is permitted. `supervisor_capabilities` and `drop_bounding` are for the supervisor
itself. docs/sandbox.md says which capabilities are kept and why. Standard library only.
"""

import os
import signal
from collections.abc import Collection

from agent.linux import (
    CAPABILITY_BITS,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_CAPBSET_READ,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    Capability,
    CapabilitySets,
    capabilities,
    capability_mask,
    prctl,
    set_capabilities,
)

SUPERVISOR_OWN = frozenset(
    {
        Capability.KILL,  # ends roles and prevented processes of any user
        Capability.SETUID,  # starts each role under its own user
        Capability.SETGID,
        Capability.SETPCAP,  # narrows the bounding set of each role
        Capability.SYS_PTRACE,  # reads identity and memory of processes of other users
        Capability.DAC_READ_SEARCH,  # the same where /proc is mounted with hidepid
        Capability.CHOWN,  # gives the link its state folder
    }
)
"""What the supervisor uses itself."""

COLLECTOR_BPF = frozenset(
    {
        Capability.BPF,  # maps and programs
        Capability.PERFMON,  # tracing programs, kernel reads, attachment
        Capability.SYS_ADMIN,  # the same before kernel 5.8, BTF by id, mounting tracefs
        Capability.SYS_RESOURCE,  # locked memory of maps before kernel 5.11
        Capability.DAC_READ_SEARCH,  # tracefs, and seeding from /proc
        Capability.SYS_PTRACE,
    }
)
"""What the collector needs until its probes are attached. The bounding set limits an exec as
root, so the supervisor's bounding set must hold these as well."""

COLLECTOR_PSUTIL = frozenset({Capability.SYS_PTRACE, Capability.DAC_READ_SEARCH})
"""What the polling collector needs for as long as it lives."""

COLLECTOR_CONNECTOR = frozenset({Capability.NET_ADMIN, *COLLECTOR_PSUTIL})
"""What the collector needs until it listens to the process connector; then what psutil needs."""

COLLECTOR = COLLECTOR_BPF | COLLECTOR_PSUTIL | COLLECTOR_CONNECTOR
"""What a collector may need, whatever its rung."""

ROLE_UMASK = 0o077


def become(
    uid: int,
    gid: int,
    *,
    descriptors: Collection[int] | None = None,
    keep: Collection[Capability] = (),
    supervisor: int = 0,
) -> None:
    """Turn a forked child into a role that is about to be executed.

    descriptors: stay open and are made inheritable, all others are closed; None leaves them to
    the caller (as preexec_fn of subprocess, which closes them itself).
    keep: what a role that stays root has after exec, even if the supervisor doesn't use it itself:
    an exec as root is given the bounding set. Such a role sets no_new_privs when it locks itself
    down; for the others it is set here, and they end with nothing.
    supervisor: its pid, to notice that it died before the death signal was armed; 0: unchecked.

    Raises OSError where a step is refused and ProcessLookupError where the supervisor is gone; the
    child must then end by os._exit. Without root the user stays as it is.
    """
    if descriptors is not None:
        _keep_only(descriptors)
    os.umask(ROLE_UMASK)
    if os.geteuid() == 0:
        drop_bounding(keep)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    if os.geteuid() != 0:
        narrow(())
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    # After the change of user, which clears it.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if supervisor and os.getppid() != supervisor:
        raise ProcessLookupError(f"supervisor {supervisor} died before its child was ready")


def supervisor_capabilities(keep: Collection[Capability] = SUPERVISOR_OWN) -> None:
    """Keep only these in the supervisor, and beyond them only the collector's in what it starts.

    No_new_privs must stay off in the supervisor: with it, the collector that is executed could
    not have more than the supervisor keeps.
    """
    drop_bounding({*keep, *COLLECTOR})
    narrow(keep)


def drop_bounding(keep: Collection[Capability]) -> bool:
    """Take everything else out of the bounding set, for this process and all it will execute.

    False where that isn't permitted (no CAP_SETPCAP) and nothing was changed.
    """
    if not capabilities().effective & 1 << Capability.SETPCAP:
        return False
    kept = capability_mask(keep)
    for number in range(CAPABILITY_BITS):
        if not kept & 1 << number and _in_bounding_set(number):
            prctl(PR_CAPBSET_DROP, number)
    return True


def narrow(keep: Collection[Capability]) -> CapabilitySets:
    """Keep at most these, permitted and effective; nothing inheritable, nothing ambient.

    Returns what is left: `keep` as far as it was there.
    """
    _clear_ambient()
    left = capabilities().permitted & capability_mask(keep)
    wanted = CapabilitySets(effective=left, permitted=left, inheritable=0)
    set_capabilities(wanted)
    return wanted


def _in_bounding_set(number: int) -> bool:
    try:
        return prctl(PR_CAPBSET_READ, number) == 1
    except OSError:  # the kernel knows no such capability
        return False


def _clear_ambient() -> None:
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)


def _keep_only(descriptors: Collection[int]) -> None:
    kept = sorted(set(descriptors))
    start = 0
    for descriptor in kept:
        # closerange(0, 0) closes everything: its end, 0 - 1, is taken as unsigned.
        if start < descriptor:
            os.closerange(start, descriptor)
        os.set_inheritable(descriptor, True)
        start = descriptor + 1
    os.closerange(start, max(start, os.sysconf("SC_OPEN_MAX")))
