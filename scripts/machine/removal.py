"""Remove everything that commands wrote for this checkout; what root wrote, through sudo."""

import shutil
import sys
from pathlib import Path

from scripts.machine.leftovers import CHECKOUT, made_here
from scripts.machine.place import SHARED_FOLDER
from scripts.machine.progress import SetupError, run
from scripts.machine.rights import as_root, can_act_as_root


def main() -> int:
    """Remove; the exit status is 1 with the reason if something can't be removed."""
    try:
        for path in made_here(CHECKOUT):
            remove(path)
            print(f"clean: removed {path}")
        if SHARED_FOLDER.is_dir() and not any(SHARED_FOLDER.iterdir()):
            remove(SHARED_FOLDER)
    except (OSError, SetupError) as error:
        print(f"clean: error: {error}", file=sys.stderr)
        return 1
    return 0


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
