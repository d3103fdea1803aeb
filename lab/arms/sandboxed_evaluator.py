"""W: Bulkhead, and in its sandboxed evaluator the unchecked interpreter.

Nothing is checked before it is evaluated: the trial of this evaluator leaves out what the sensor of
2024 did not have. What is left is the compartment.
"""

from lab.cells.parts import Arm, Placement

ARM = Arm(
    name="W",
    title="in the sandboxed evaluator",
    words="Bulkhead with the unchecked interpreter as a library in its evaluator.",
    placement=Placement.SENSOR,
    options={"evaluator": "unchecked"},
)
