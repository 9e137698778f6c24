"""Sinks: where results are written. Each is imported from its own module, as each loads what it needs."""

from engine.sinks.sink import Sink

__all__ = ["Sink"]
