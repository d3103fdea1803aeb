"""Channel Files on disk as a crude sensor keeps them: a folder, one file per Template Type."""

import os
import shutil
from pathlib import Path

from lab.hosts.order import CONTENT, PUSHED, SUFFIX

IPC_FILE = f"ipc{SUFFIX}"


def take_pushed(folder: Path) -> None:
    """The pushed file is in force from now on, also after a power cut that comes later."""
    target = folder / CONTENT / IPC_FILE
    shutil.copyfile(folder / PUSHED, target)
    descriptor = os.open(target, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def delete_bad(folder: Path) -> None:
    """What a person does by hand."""
    (folder / CONTENT / IPC_FILE).unlink(missing_ok=True)
    os.sync()
