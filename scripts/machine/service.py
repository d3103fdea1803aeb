"""The sensor as a systemd service: write its unit, with what only this machine and the code know.

The unit names the environment of this checkout, so the checkout has to stay where it is. What the
sensor is told (cloud, keys) is in /etc/bulkhead/agent, as BULKHEAD_ARGUMENTS="--cloud …".
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.privileges import COLLECTOR, SUPERVISOR_OWN
from scripts.machine.progress import SetupError, run

CHECKOUT = Path(__file__).resolve().parents[2]
TEMPLATE = CHECKOUT / "packaging" / "bulkhead-agent.service"
UNITS = Path("/etc/systemd/system")
USAGE = "usage: scripts/service install|remove|show"


def unit(environment: Path) -> str:
    """The unit's text for an environment."""
    held = sorted(f"CAP_{capability.name}" for capability in SUPERVISOR_OWN | COLLECTOR)
    text = TEMPLATE.read_text(encoding="utf-8")
    body = text[text.index("[Unit]") :]
    return body.replace("ENVIRONMENT", str(environment)).replace("CAPABILITIES", " ".join(held))


def install(environment: Path, folder: Path = UNITS) -> None:
    """Write the unit, and have it started from now on and at each boot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TEMPLATE.name).write_text(unit(environment), encoding="utf-8")
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "enable", "--now", TEMPLATE.name])


def remove(folder: Path = UNITS) -> None:
    """Stop it, and leave nothing of it but its state."""
    run(["systemctl", "disable", "--now", TEMPLATE.name])
    (folder / TEMPLATE.name).unlink(missing_ok=True)
    run(["systemctl", "daemon-reload"])


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; the exit status is 0, 1 with a reason, or 2 with usage."""
    environment = (CHECKOUT / ".venv").resolve()
    if list(arguments) == ["show"]:
        sys.stdout.write(unit(environment))
        return 0
    if list(arguments) not in (["install"], ["remove"]):
        print(USAGE, file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("service: error: not root; expected root or sudo", file=sys.stderr)
        return 1
    try:
        install(environment) if arguments[0] == "install" else remove()
    except (OSError, SetupError) as error:
        print(f"service: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
