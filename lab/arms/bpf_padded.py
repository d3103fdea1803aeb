"""B2: the same program over an array that is padded to 32, as one writes it to please the verifier.

It loads, nothing ever crashes, and input 21 is whatever an earlier event has left there.
"""

from lab.cells.parts import Arm, Placement

ARM = Arm(
    name="B2",
    title="BPF, padded array",
    words="The interpreter in BPF, over an array of 20 inputs that is padded to 32.",
    placement=Placement.BPF,
    options={"slots": "32"},
)
