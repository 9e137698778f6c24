"""Benchmarks of `steadypose bench`; `report` runs them all, `soak` watches the memory."""
