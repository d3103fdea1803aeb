"""Carrying out cells: which, what is done already, one after the other, and what is said of it."""
