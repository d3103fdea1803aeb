"""G: Bulkhead as shipped.

Its cloud's check is switched off, so that the host's own checks show; what the former says is kept.
"""

from lab.cells.parts import Arm, Placement

ARM = Arm(
    name="G",
    title="Bulkhead as shipped",
    words="Bulkhead with all of its checks, and a cloud that sends what it should refuse.",
    placement=Placement.SENSOR,
    checked=True,
)
