"""Turns a profile's table of system calls into a seccomp filter that kills, and loads it.

libseccomp does the work, through Debian's python3-seccomp. The default action ends the whole
process (SIGSYS, which no handler can catch), also for calls of a foreign architecture.
"""

import importlib
import os
from collections.abc import Iterable
from typing import Any

from agent.sandbox.errors import SandboxError
from agent.sandbox.syscalls import OWN_PROCESS, Call, Condition

seccomp: Any
try:
    seccomp = importlib.import_module("seccomp")
except ImportError:  # said openly by `load`
    seccomp = None

BINARY_TREE = 2
"""libseccomp's optimisation level: logarithmic instead of linear in the number of calls."""


def load(calls: Iterable[Call]) -> str:
    """Load the filter for all threads; nothing outside of `calls` is possible from then on.

    Returns what was reached, for people: ``kill, 61 calls`` or ``missing: …``. Raises
    SandboxError where the kernel refuses the filter.
    """
    if seccomp is None:
        return "missing: python3-seccomp is not installed"
    rules = tuple(calls)
    try:
        loaded = _build(rules)
        loaded.load()
    except (OSError, RuntimeError, ValueError) as error:
        raise SandboxError(f"seccomp: {error}") from error
    return f"kill, {len({call.name for call in rules if not call.errno})} calls permitted"


def _build(calls: tuple[Call, ...]) -> Any:
    made = seccomp.SyscallFilter(defaction=seccomp.KILL_PROCESS)
    made.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    made.set_attr(seccomp.Attr.CTL_TSYNC, 1)
    made.set_attr(seccomp.Attr.CTL_OPTIMIZE, BINARY_TREE)
    unconditional = {call.name for call in calls if not call.conditions}
    for call in calls:
        if call.conditions and call.name in unconditional:
            continue
        # Some calls don't exist on every architecture: open and poll on ARM, for example.
        if seccomp.resolve_syscall(seccomp.Arch(), call.name) >= 0:
            _add(made, call)
    return made


def _add(made: Any, call: Call) -> None:
    action = seccomp.ERRNO(call.errno) if call.errno else seccomp.ALLOW
    made.add_rule(action, call.name, *map(_argument, call.conditions))


def _argument(condition: Condition) -> Any:
    value = os.getpid() if condition.value == OWN_PROCESS else condition.value
    return seccomp.Arg(condition.argument, seccomp.MASKED_EQ, condition.mask, value)
