import numpy as np

from engine.live_outbox import WAITING_NOTICES, WAITING_RESULTS, Outbox
from engine.live_values import LiveResult, Notice
from engine.structures import Frame, KeypointState, Result, TrackedPerson


class Sink:
    def __init__(self) -> None:
        self.written: list[LiveResult] = []
        self.reasons: list[tuple[str, bool]] = []

    def write(self, live: LiveResult) -> None:
        self.written.append(live)

    def break_off(self, reason: str, *, lost: bool) -> None:
        self.reasons.append((reason, lost))


def person(track_id: int) -> TrackedPerson:
    points = np.zeros((2, 2), np.float32)
    return TrackedPerson(
        track_id=track_id, keypoints=points, raw_keypoints=points, velocity=points,
        scores=np.ones(2, np.float32), state=np.full(2, KeypointState.MEASURED, np.int8),
        bbox=np.array([0, 0, 1, 1], np.float32), score=1.0, age_s=1.0,
    )  # fmt: skip


def live(index: int = 0, *, sequence: int = 1, ids: tuple[int, ...] = ()) -> LiveResult:
    frame = Frame(np.zeros((2, 2, 3), np.uint8), index, index / 30)
    return LiveResult(Result(frame, tuple(person(number) for number in ids)), 0.0, 0.0, sequence)


def ids(result: LiveResult) -> list[int]:
    return [person.track_id for person in result.result.people]


def test_results_wait_in_order_and_the_oldest_make_room() -> None:
    outbox = Outbox()
    for index in range(WAITING_RESULTS + 3):
        outbox.put_result(live(index), fresh=True)
    assert [result.result.frame.index for result in outbox.take_results()] == list(
        range(3, WAITING_RESULTS + 3)
    )
    assert outbox.unshown == 3
    assert outbox.take_results() == []


def test_sentences_wait_in_order_and_the_oldest_make_room() -> None:
    outbox = Outbox()
    for number in range(WAITING_NOTICES + 1):
        outbox.put_notice(Notice("key", "info", str(number)))
    assert [notice.text for notice in outbox.take_notices()] == [
        str(number) for number in range(1, WAITING_NOTICES + 1)
    ]
    assert outbox.take_notices() == []


def test_a_sink_gets_each_fresh_result_once_however_often_it_was_added() -> None:
    outbox, sink = Outbox(), Sink()
    outbox.add_sink(sink)
    outbox.add_sink(sink)
    outbox.put_result(live(1), fresh=True)
    outbox.put_result(live(0), fresh=False)
    outbox.break_off("the file came to its end", lost=False)
    assert [result.result.frame.index for result in sink.written] == [1]
    assert sink.reasons == [("the file came to its end", False)]
    assert outbox.has_sinks
    outbox.remove_sink(sink)
    outbox.put_result(live(2), fresh=True)
    assert len(sink.written) == 1 and not outbox.has_sinks


def test_who_is_ignored_is_neither_written_nor_shown() -> None:
    outbox, sink = Outbox(), Sink()
    outbox.add_sink(sink)
    outbox.put_result(live(0, ids=(1, 2)), fresh=True)
    assert outbox.ignore([2])
    assert not outbox.ignore([2])
    outbox.put_result(live(1, ids=(1, 2)), fresh=True)
    assert [ids(result) for result in sink.written] == [[1, 2], [1]]
    assert [ids(result) for result in outbox.take_results()] == [[1, 2], [1]]


def test_who_is_ignored_is_somebody_else_when_people_are_met_anew() -> None:
    outbox = Outbox()
    outbox.put_result(live(0, ids=(1, 2), sequence=4), fresh=True)
    outbox.ignore([2])
    outbox.put_result(live(0, ids=(1, 2), sequence=5), fresh=True)
    assert [ids(result) for result in outbox.take_results()] == [[1, 2], [1, 2]]
