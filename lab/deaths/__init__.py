"""Evaluators and roles that die, in every way and at every step: put in on purpose."""
