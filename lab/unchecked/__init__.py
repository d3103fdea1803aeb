"""The sensor of July 2024, rebuilt on purpose: an interpreter in C that checks no bounds."""
