"""K: as in July 2024. The interpreter is a kernel module, loaded at boot, its content on disk."""

from lab.cells.parts import Arm, Placement

ARM = Arm(
    name="K",
    title="kernel module",
    words="The unchecked interpreter as a kernel module that is loaded at boot.",
    placement=Placement.MODULE,
)
