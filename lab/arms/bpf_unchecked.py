"""B1: the interpreter's missing check in a BPF program: an index that nothing bounds.

The verifier refuses it when it is loaded, whatever the content; its words are kept. Exec events are
evaluated by another program of the same agent, which has no such index.
"""

from lab.cells.parts import Arm, Placement

ARM = Arm(
    name="B1",
    title="BPF, unchecked index",
    words="The interpreter in BPF, with an unchecked index over 20 inputs.",
    placement=Placement.BPF,
    options={"slots": "20"},
)
