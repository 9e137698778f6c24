"""Capturing work once and launching it as one: a frame costs one call instead of twenty."""

import logging
from collections.abc import Callable

from engine.cuda.device import Graph, Stream
from engine.errors import DeviceError

LOGGER = logging.getLogger(__name__)


class Graphs:
    """Decides whether work on a stream is captured; one for each network.

    capturing: whether it is; no longer so once a capture has failed.
    """

    def __init__(self, stream: Stream, *, capturable: bool) -> None:
        self.stream = stream
        self.capturing = capturable

    def capture(self, enqueue: Callable[[], None]) -> Graph | None:
        """Return work as a graph, or None where it is not captured."""
        if not self.capturing:
            return None
        try:
            return self.stream.capture(enqueue)
        except DeviceError as error:
            self.capturing = False
            LOGGER.warning("frames run without a CUDA graph, a little slower: %s", error)
            return None


class Replay:
    """Work that is done again and again: as it is the first time, as a graph from then on.

    The first run is plain since networks choose their memory and kernels in it, which cannot be captured.

    Args:
        graphs: decides about capture, and has the stream.
        enqueue: puts the work on that stream, always the same.
    """

    def __init__(self, graphs: Graphs, enqueue: Callable[[], None]) -> None:
        self._graphs, self._enqueue = graphs, enqueue
        self._warm = False
        self._graph: Graph | None = None

    @property
    def captured(self) -> bool:
        """Whether the work is launched as a graph by now."""
        return self._graph is not None

    def launch(self) -> None:
        """Put the work on the stream once."""
        if self._warm and self._graph is None:
            self._graph = self._graphs.capture(self._enqueue)
        if self._graph is None:
            self._enqueue()
        else:
            self._graph.launch(self._graphs.stream)
        self._warm = True

    def close(self) -> None:
        """Free the graph; its last run must be done."""
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.close()
