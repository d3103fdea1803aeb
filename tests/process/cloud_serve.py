"""The serving process with limits of a test's choice: `python -m tests.process.cloud_serve`.

Arguments: the cloud's folder, HOST:PORT, 1 to skip the validator, and a JSON object of limits; then
the address of NATS and the file with its password, if there are any.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from cloud import journal
from cloud.folder import CloudFolder
from cloud.limits import LIMITS
from cloud.messaging.address import NatsAddress
from cloud.server import Order, serve


def main() -> None:
    """Serve until a signal comes."""
    folder, listen, unsafe, limits, *queue = sys.argv[1:]
    journal.start()
    credentials = Path(queue[1]) if queue[1:] else None
    nats = NatsAddress.parse(queue[0], credentials) if queue else None
    order = Order(CloudFolder(Path(folder)), listen, unsafe == "1", nats)
    serve(order, _print, replace(LIMITS, **json.loads(limits)))


def _print(address: str) -> None:
    sys.stdout.write(json.dumps({"address": address, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
