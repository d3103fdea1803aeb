"""What a locked-down role tried that it may not: system calls that wait for an answer.

The seccomp filter of a role hands such a call to whoever has the listener, and lets the caller wait
(agent.sandbox.seccomp_filter). We read which call it is and never answer: it never happens, and the
role is ended. Reading takes a moment and waits for nobody, as it is only done when something is
there. Numbers become names in libseccomp; standard library otherwise.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import struct
from pathlib import Path

from agent.channel import Message, ProtocolViolationError, Violation

# struct seccomp_notif: id, pid, flags, then seccomp_data: call, architecture, instruction pointer
# and six arguments. The request number holds its size, so neither will change.
_NOTIFICATION = struct.Struct("=QIIiI7Q")
_RECEIVE = 0xC0502100
_LISTENER = "anon_inode:seccomp notify"


def of_message(message: Message) -> int:
    """The listener of a `locked` message, owned by the caller; ProtocolViolationError if none.

    Anything else could make us wait when we read it.
    """
    if len(message.descriptors) == 1:
        (descriptor,) = message.descriptors
        if str(Path(f"/proc/self/fd/{descriptor}").readlink()) == _LISTENER:
            return descriptor
    for descriptor in message.descriptors:
        os.close(descriptor)
    raise ProtocolViolationError("locked without a listener", Violation.STRAY_DESCRIPTORS)


def next_call(listener: int) -> str | None:
    """The name of a system call that waits for an answer; None where there is none."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    if not any(events & select.POLLIN for _, events in poll.poll(0)):
        return None
    notification = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, notification)
    except OSError:  # the caller has ended meanwhile
        return None
    _, _, _, number, architecture, *_ = _NOTIFICATION.unpack(notification)
    return name_of(number, architecture)


def name_of(number: int, architecture: int) -> str:
    """`openat`; `call 257` where libseccomp is not there or knows no name."""
    with contextlib.suppress(OSError, AttributeError):
        seccomp = ctypes.CDLL("libseccomp.so.2")
        resolve = seccomp.seccomp_syscall_resolve_num_arch
        resolve.restype = ctypes.c_void_p
        found = resolve(ctypes.c_uint32(architecture), ctypes.c_int(number))
        if found:
            name = ctypes.string_at(found).decode("ascii")
            ctypes.CDLL(None).free(ctypes.c_void_p(found))
            return name
    return f"call {number}"
