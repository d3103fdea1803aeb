"""A copy of the checkout in a scratch folder, to try set-up itself there."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.machine.leftovers import CHECKOUT, MADE_HERE
from scripts.machine.place import shared_folder

NOT_COPIED = (*MADE_HERE, ".git", "__pycache__")


@contextmanager
def copied_checkout(*, mode: int) -> Iterator[Path]:
    """The checkout's sources below a folder of that mode; removed with what set-up made for it."""
    with tempfile.TemporaryDirectory(prefix="bulkhead-copy-") as scratch:
        Path(scratch).chmod(mode)
        copy = Path(scratch).resolve() / "checkout"
        shutil.copytree(CHECKOUT, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
        copy.chmod(0o755)
        try:
            yield copy
        finally:
            shutil.rmtree(shared_folder(copy), ignore_errors=True)


def give(copy: Path, owner: str) -> None:
    """Make a user the owner of a copy and of the scratch folder around it; needs root."""
    subprocess.run(["chown", "-R", f"{owner}:", str(copy.parent)], check=True)
