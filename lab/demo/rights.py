"""The rights that the service has, for sensors that are started without one.

As root a sensor could do what its service can't, and nobody would see it before it is installed.
"""

import os

from agent.privileges import COLLECTOR, SUPERVISOR_OWN


def service_rights() -> tuple[str, ...]:
    """A command that becomes another one, with the capabilities of the unit (packaging) alone.

    Empty without root, which has none to give away.
    """
    if os.geteuid() != 0:
        return ()
    held = sorted(f"+{one.name.lower()}" for one in SUPERVISOR_OWN | COLLECTOR)
    return ("setpriv", "--bounding-set", ",".join(("-all", *held)), "--")
