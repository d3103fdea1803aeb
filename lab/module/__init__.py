"""The unchecked interpreter as a kernel module: built and loaded in guests of the laboratory only."""
