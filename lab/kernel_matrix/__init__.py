"""The tests of the probes on Debian's kernels, in virtual machines: `make kernel-matrix`."""
