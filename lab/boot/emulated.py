"""`python -m lab.boot.emulated FACTOR`: have this host's sensor be patient with slow processors.

For a host whose processors are emulated: writes a drop-in for the shipped unit, and a role table to
which `--roles /etc/bulkhead/roles.json` has to point. All probes are the shipped ones.
"""

import json
import sys
from pathlib import Path

from lab.boot.guest import EMULATED, KEYS, ROLES, patience
from scripts.machine.service import TEMPLATE, UNITS

ROLE = "evaluator"


def main() -> int:
    """Write both."""
    drop_in = UNITS / f"{TEMPLATE.name}.d" / "patience.conf"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(patience(float(sys.argv[1])), encoding="utf-8")
    roles = Path("/", KEYS, ROLES)
    roles.touch(0o600)
    roles.write_text(json.dumps({ROLE: EMULATED[ROLE]}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
