"""Placements of the interpreter: one module each, with a constant `ARM`."""
