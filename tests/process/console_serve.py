"""The console with limits of a test's choice: `python -m tests.process.console_serve`.

Arguments: the cloud's folder, HOST:PORT, and a JSON object of limits.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from cloud import journal
from cloud.console.limits import LIMITS
from cloud.console.server import Order, serve
from cloud.folder import CloudFolder


def main() -> None:
    """Serve until a signal comes."""
    folder, listen, limits = sys.argv[1:]
    journal.start()
    order = Order(CloudFolder(Path(folder)), listen)
    serve(order, _print, replace(LIMITS, **json.loads(limits)))


def _print(address: str) -> None:
    sys.stdout.write(json.dumps({"address": address, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
