"""What is built once and kept: each thing under a name that says what it was made from.

Everything is made beside its place and renamed when it is whole, so that an interruption leaves
nothing that looks finished; `make clean` removes it all.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "build" / "vm"
"""Where images and kernels of this checkout are kept."""

UNFINISHED = ".unfinished-"


def digest(inputs: object) -> str:
    """A short name for what something is made from: JSON's kinds of values."""
    text = json.dumps(inputs, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder on the cache's file system, gone afterwards."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=FOLDER))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
