"""Benchmarks: one program per question, each against a peer in the same run where there is one.

`bench.harness` says how to write one; `make bench` runs them all.
"""
