"""The kernels that the probes are tried on: Debian's releases and what each of them brings."""

from dataclasses import dataclass

COMMAND_SECONDS = 600.0
"""For the tests of the probes on a kernel, on a processor of their own; emulated ones get more."""


@dataclass(frozen=True, slots=True)
class MatrixKernel:
    """A Debian release and the series of its kernel."""

    release: str
    series: str


KERNELS = (
    MatrixKernel("bullseye", "5.10"),
    MatrixKernel("bookworm", "6.1"),
    MatrixKernel("trixie", "6.12"),
)
