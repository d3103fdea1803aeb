"""`python -m agent.supervisor`: the sensor's first process."""

import sys

from agent.supervisor.control import ControlError
from agent.supervisor.link_folder import LinkFolderError
from agent.supervisor.roles import RoleTableError
from agent.supervisor.settings import parse
from agent.supervisor.signature import TrustError
from agent.supervisor.store import StoreError
from agent.supervisor.supervisor import Supervisor

PREREQUISITE_MISSING = 3
_MISTAKES = (ControlError, LinkFolderError, RoleTableError, StoreError, TrustError)


def main() -> int:
    """Run the supervisor; a user's mistake is one line on standard error and status 3."""
    settings = parse()
    try:
        supervisor = Supervisor(settings)
    except _MISTAKES as error:
        reason = type(error).__name__.removesuffix("Error")
        sys.stderr.write(f"error {reason}: {error}\n")
        return PREREQUISITE_MISSING
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
