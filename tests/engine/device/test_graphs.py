import pytest

from engine.device.frames import FrameRing
from engine.device.graphs import Graphs, Replay
from tests.engine.cuda.shim_device import ShimDevice


class Work:
    """Counts how often it is put on a stream, and how often it is done."""

    def __init__(self, device: ShimDevice, ring: FrameRing, *, waits: bool = False) -> None:
        self.enqueued = self.done = 0
        self._ring, self._waits = ring, waits

    def __call__(self) -> None:
        self.enqueued += 1
        self._ring.stream.call(self._do)
        if self._waits:
            self._ring.stream.synchronize()

    def _do(self) -> None:
        self.done += 1


def test_the_first_run_is_plain_and_all_others_are_one_graph(device: ShimDevice, ring: FrameRing) -> None:
    work = Work(device, ring)
    replay = Replay(Graphs(ring.stream, capturable=True), work)
    seen = []
    for _ in range(4):
        replay.launch()
        ring.stream.synchronize()
        seen.append((work.enqueued, work.done, replay.captured))
    assert seen == [(1, 1, False), (2, 2, True), (2, 3, True), (2, 4, True)]
    replay.close()


def test_what_cannot_be_captured_is_put_there_every_time(device: ShimDevice, ring: FrameRing) -> None:
    work = Work(device, ring)
    replay = Replay(Graphs(ring.stream, capturable=False), work)
    for _ in range(3):
        replay.launch()
    ring.stream.synchronize()
    assert (work.enqueued, work.done, replay.captured) == (3, 3, False)
    replay.close()


def test_a_capture_that_fails_is_told_once_and_work_goes_on(
    device: ShimDevice, ring: FrameRing, caplog: pytest.LogCaptureFixture
) -> None:
    graphs = Graphs(ring.stream, capturable=True)
    works = [Work(device, ring, waits=True) for _ in range(2)]
    for work in works:
        replay = Replay(graphs, work)
        for _ in range(3):
            replay.launch()
        replay.close()
        assert work.done == 3 and not replay.captured
    assert caplog.text.count("without a CUDA graph") == 1 and not graphs.capturing
