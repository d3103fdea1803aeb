"""A sealed memfd: bytes that a role may map and nobody can change any more."""

import fcntl
import os


def sealed(payload: bytes) -> int:
    """A sealed memfd with these bytes; the caller owns it."""
    descriptor = os.memfd_create("bulkhead-payload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(payload)
        while view:
            view = view[os.write(descriptor, view) :]
        fcntl.fcntl(
            descriptor,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE,
        )
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
