"""P: as most agents are built. Probes and interpreter are in one process of root's.

It is restarted by its service manager, with systemd's Restart=on-failure and usual start limit
(lab.hosts.service_manager; a host of this laboratory boots without systemd, for speed).
"""

from lab.cells.parts import Arm, Placement

ARM = Arm(
    name="P",
    title="in the agent's process",
    words="The unchecked interpreter as a library in the agent's own process.",
    placement=Placement.AGENT,
)
