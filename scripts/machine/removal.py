"""Remove everything that commands wrote for this checkout; what root wrote, through sudo.

With --stale only what a collector left that was killed while it compiled; the next one would do it.
With --hosts only the hosts of vagrant/Vagrantfile, which are ended as well.
"""

import re
import shutil
import sys
from pathlib import Path

from scripts.machine import libvirt
from scripts.machine.leftovers import CHECKOUT, made_here
from scripts.machine.place import SHARED_FOLDER
from scripts.machine.progress import SetupError, run
from scripts.machine.rights import as_root, can_act_as_root

TEMPORARY = Path("/tmp")  # noqa: S108 - nothing is written there
COMPILED_AGAINST = re.compile(r"bulkhead-kernel-(\d+)-\w+")
"""Folders of probes/kernel_source.py; the number is the collector's process id."""


def main() -> int:
    """Remove; the exit status is 1 with the reason if something can't be removed."""
    only_stale = sys.argv[1:] == ["--stale"]
    try:
        if sys.argv[1:] == ["--hosts"]:
            for words in libvirt.remove(CHECKOUT):
                print(f"clean: removed {words}")
            return 0
        for path in stale(TEMPORARY) if only_stale else made_here(CHECKOUT):
            remove(path)
            print(f"clean: removed {path}")
        if only_stale:
            return 0
        if SHARED_FOLDER.is_dir() and not any(SHARED_FOLDER.iterdir()):
            remove(SHARED_FOLDER)
    except (OSError, SetupError) as error:
        print(f"clean: error: {error}", file=sys.stderr)
        return 1
    return 0


def stale(folder: Path) -> list[Path]:
    """What collectors left there that run no more."""
    found = []
    for path in sorted(folder.glob("bulkhead-kernel-*")):
        name = COMPILED_AGAINST.fullmatch(path.name)
        if name and path.is_dir() and not path.is_symlink() and not Path("/proc", name[1]).exists():
            found.append(path)
    return found


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, as root where that is needed and possible."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except PermissionError:
        if not can_act_as_root():
            raise
        run(as_root(["rm", "-rf", "--one-file-system", str(path)]))


if __name__ == "__main__":
    sys.exit(main())
