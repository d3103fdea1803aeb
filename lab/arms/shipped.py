"""G: Bulkhead as shipped, with a cloud whose own check was switched off, so that the host's show."""

from lab.cells.parts import Arm, Placement

ARM = Arm(
    name="G",
    title="Bulkhead as shipped",
    words="Bulkhead with all of its checks, and a cloud that sends what it should refuse.",
    placement=Placement.SENSOR,
    checked=True,
)
