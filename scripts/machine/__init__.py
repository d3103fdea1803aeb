"""Setting up a machine for Bulkhead and proving that nothing is left on it.

Runs on Debian's Python with the standard library only: it makes the environment that all the rest
runs in.
"""
