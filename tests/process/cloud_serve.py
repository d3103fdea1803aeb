"""The serving process with limits of a test's choice: `python -m tests.process.cloud_serve`.

Arguments: the cloud's folder, HOST:PORT, 1 to skip the validator, and a JSON object of limits.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from cloud import journal
from cloud.folder import CloudFolder
from cloud.limits import LIMITS
from cloud.server import Order, serve


def main() -> None:
    """Serve until a signal comes."""
    folder, listen, unsafe, limits = sys.argv[1:]
    journal.start()
    order = Order(CloudFolder(Path(folder)), listen, unsafe == "1")
    serve(order, _print, replace(LIMITS, **json.loads(limits)))


def _print(address: str) -> None:
    sys.stdout.write(json.dumps({"address": address, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
