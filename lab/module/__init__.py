"""The unchecked interpreter as a kernel module: built and loaded only in guests of the lab."""
