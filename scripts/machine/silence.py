"""Installing servers without serving: packages whose programs are wanted, and not their services.

Debian starts a server when it installs one, and with every boot. Here nothing is started while apt
works (policy-rc.d, taken away afterwards unless it was there), PostgreSQL makes no cluster of its
own, and what was just installed is not started with the next boot either.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.machine.progress import SetupError, run
from scripts.machine.rights import as_root

NO_CLUSTER = "# Bulkhead's set-up: its tests make their own.\ncreate_main_cluster = false\n"
POLICY = Path("/usr/sbin/policy-rc.d")
CLUSTERS = Path("/etc/postgresql-common/createcluster.conf")


@contextmanager
def silent(services: Sequence[str]) -> Iterator[None]:
    """Whatever is installed meanwhile, these services are neither started nor enabled."""
    if not services:
        yield
        return
    if not CLUSTERS.exists():
        _write(CLUSTERS, NO_CLUSTER)
    ours = not POLICY.exists()
    if ours:
        _write(POLICY, "#!/bin/sh\nexit 101\n")
    try:
        yield
    finally:
        if ours:
            run(as_root(["rm", "-f", str(POLICY)]))
    if shutil.which("systemctl") is not None:
        for service in services:
            _disable(service)


def _disable(service: str) -> None:
    try:
        run(as_root(["systemctl", "disable", "--quiet", service]))
    except SetupError:  # it brings no such service here, so nothing starts it
        return


def _write(path: Path, text: str) -> None:
    script = 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1" && chmod 755 "$1"'
    run(as_root(["sh", "-c", script, "sh", str(path), text]))
