"""Which class carries a placement; imported when it is chosen, so that a host loads no other."""

from pathlib import Path

from lab.cells.parts import Placement
from lab.hosts.order import Order
from lab.hosts.placement import Host


def host_of(wanted: Order, folder: Path) -> Host:
    """The placement that is ordered."""
    if wanted.placement is Placement.MODULE:
        from lab.hosts.kernel_module import KernelModule  # noqa: PLC0415

        return KernelModule(folder)
    if wanted.placement is Placement.AGENT:
        from lab.hosts.agent_service import AgentService  # noqa: PLC0415

        return AgentService(folder, wanted)
    if wanted.placement is Placement.SENSOR:
        from lab.hosts.sensor import Sensor  # noqa: PLC0415

        return Sensor(folder, wanted)
    from lab.hosts.bpf import BpfAgent  # noqa: PLC0415

    return BpfAgent(folder, wanted)
