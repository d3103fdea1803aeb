"""Write files so that a crash leaves the old one or the new one, never half of one."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write, fsync, rename, fsync of the folder; OSError passes through and leaves nothing.

    mode: permissions of the new file, whatever the old one's were; before that, its owner's alone.
    """
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
