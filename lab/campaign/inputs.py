"""What a cell's result depends on, as a digest: sources, host, runner.

Of the laboratory's own sources all that may reach a host count; what only plans, keeps and reports
does not, so that a better report needs no new measurement.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from lab.cells.model import Environment

FOLDERS = ("agent", "cloud", "content", "lab", "probes", "proto")
FILES = ("requirements/runtime.lock",)
NOT_ON_HOSTS = ("lab/ablation", "lab/campaign", "lab/report", "lab/results", "lab/__main__.py")
CACHES = "__pycache__"


def digest(checkout: Path, environment: Environment) -> str:
    """A name for these sources on such a host."""
    sources = hashlib.sha256(json.dumps(asdict(environment), sort_keys=True).encode())
    for path in source_files(checkout, FOLDERS, NOT_ON_HOSTS):
        _add(sources, checkout, path)
    return sources.hexdigest()


def sources_digest(checkout: Path, folders: Sequence[str]) -> str:
    """A name for the sources in some folders."""
    sources = hashlib.sha256()
    for path in source_files(checkout, folders, ()):
        _add(sources, checkout, path)
    return sources.hexdigest()


def source_files(checkout: Path, folders: Sequence[str], without: Sequence[str]) -> Iterator[Path]:
    """Files of the folders and of FILES, sorted, without caches and without those excepted."""
    left_out = [checkout / name for name in without]
    paths = [path for name in folders for path in sorted((checkout / name).rglob("*"))]
    for path in [*paths, *(checkout / name for name in FILES)]:
        excepted = any(path == one or one in path.parents for one in left_out)
        if path.is_file() and CACHES not in path.parts and not excepted:
            yield path


def _add(sources: "hashlib._Hash", checkout: Path, path: Path) -> None:
    content = path.read_bytes()
    sources.update(f"{path.relative_to(checkout)}\0{len(content)}\0".encode())
    sources.update(content)
