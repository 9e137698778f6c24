"""Benchmarks of `steadypose bench`: `report` is the usual one, then `gpu`, `window` and `soak` for memory."""
