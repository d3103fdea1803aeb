"""Turns a profile's table of system calls into a seccomp filter, and loads it.

libseccomp does the work, through Debian's python3-seccomp. A call that is not permitted never
happens. With a supervisor to tell, it waits for an answer that never comes: the supervisor, which
has the listener, sees which call it was and ends the process. With nobody to tell, and for calls of
a foreign architecture, the kernel ends the whole process itself (SIGSYS, which no handler can
catch). docs/adr/0011-forbidden-calls-are-notified.md says why.
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
        _build(rules, seccomp.KILL_PROCESS).load()
    except (OSError, RuntimeError, ValueError) as error:
        raise SandboxError(f"seccomp: {error}") from error
    return f"kill, {_permitted(rules)}"


def load_with_listener(calls: Iterable[Call]) -> tuple[str, int | None]:
    """The same, but calls that are not permitted wait, and the descriptor returned tells of them.

    It must leave this process: whoever has it could let such a call go on. Where kernel or
    libseccomp can't do that, such calls kill, and there is no descriptor.
    """
    rules = tuple(calls)
    if seccomp is not None:
        try:
            loaded = _build(rules, seccomp.NOTIFY)
            loaded.load()
        except (AttributeError, OSError, RuntimeError, ValueError):
            pass
        else:
            return f"wait for the supervisor, {_permitted(rules)}", int(loaded.get_notify_fd())
    return load(rules), None


def _permitted(rules: tuple[Call, ...]) -> str:
    return f"{len({call.name for call in rules if not call.errno})} calls permitted"


def _build(calls: tuple[Call, ...], default: Any) -> Any:
    made = seccomp.SyscallFilter(defaction=default)
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
