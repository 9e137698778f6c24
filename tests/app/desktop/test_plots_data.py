import numpy as np
import pytest

from app.desktop.plots_data import CHUNK_ROWS, Quantity, SeriesStore, break_gaps, thin_out
from engine.skeleton import COCO17, LSP14
from engine.structures import Frame, Result, TrackedPerson
from engine.tracking.angles import joint_angles, joint_triples

NOSE_X, NOSE_Y = Quantity("x", "nose"), Quantity("y", "nose")
IMAGE = np.zeros((2, 2, 3), np.uint8)


def make_person(track_id: int, shift: float = 0.0, keypoints: int = 17, **changes: object) -> TrackedPerson:
    points = np.random.default_rng(5).uniform(0, 100, (keypoints, 2)).astype(np.float32)
    points[0] = (10 + shift, 20 + shift)
    values: dict[str, object] = {
        "track_id": track_id,
        "keypoints": points,
        "raw_keypoints": points + 1,
        "velocity": np.full((keypoints, 2), (3, 4), np.float32),
        "scores": np.ones(keypoints, np.float32),
        "state": np.full(keypoints, 2, np.int8),
        "bbox": np.array([0, 0, 100, 100], np.float32),
        "score": 1.0,
        "age_s": 1.0,
    }
    return TrackedPerson(**(values | changes))  # type: ignore[arg-type]


def make_result(index: int, *people: TrackedPerson, fps: float = 30.0) -> Result:
    return Result(Frame(IMAGE, index, index / fps), people)


def make_store(frames: int = 0, **options: float) -> SeriesStore:
    store = SeriesStore(**options)  # type: ignore[arg-type]
    store.set_skeleton(COCO17)
    for index in range(frames):
        store.add_result(make_result(index, make_person(1, index), make_person(2, -index)))
    return store


def test_positions_and_speeds_come_back_as_they_were_given():
    store = make_store(10)
    table = store.read([NOSE_X, NOSE_Y, Quantity("speed", "nose")], raw=True)
    rows = table.rows_of(1)
    assert table.people() == [1, 2]
    assert table.times[rows] == pytest.approx(np.arange(10) / 30)
    assert table.frames[rows].tolist() == list(range(10))
    assert table.columns[NOSE_X, False][rows] == pytest.approx(10 + np.arange(10))
    assert table.columns[NOSE_Y, True][rows] == pytest.approx(21 + np.arange(10))
    assert table.columns[Quantity("speed", "nose"), False] == pytest.approx(np.full(20, 5.0))
    assert (Quantity("speed", "nose"), True) not in table.columns


def test_angles_are_those_of_the_engine():
    person = make_person(1)
    store = make_store()
    store.add_result(make_result(0, person))
    quantities = [Quantity("angle", name) for name in joint_triples(COCO17)]
    table = store.read(quantities, raw=True)
    for is_raw, keypoints in ((False, person.keypoints), (True, person.raw_keypoints)):
        truth = joint_angles(keypoints, COCO17)
        for quantity in quantities:
            assert table.columns[quantity, is_raw][0] == pytest.approx(truth[quantity.name], abs=1e-3)


def test_what_the_skeleton_lacks_is_left_out():
    store = make_store(2)
    assert not store.read([Quantity("x", "tail"), Quantity("angle", "tail")]).columns


def test_a_missing_keypoint_has_neither_position_nor_speed():
    person = make_person(1)
    person.keypoints[0] = np.nan
    store = make_store()
    store.add_result(make_result(0, person))
    table = store.read([NOSE_X, Quantity("speed", "nose")])
    assert all(np.isnan(column).all() for column in table.columns.values())


def test_only_the_last_seconds_are_kept():
    store = make_store(30 * 60, span_s=10)
    assert store.newest_s == pytest.approx(1799 / 30)
    times = store.read([]).times
    assert 10 <= times[-1] - times[0] <= 10 + CHUNK_ROWS / 60


def test_a_crowd_shortens_what_is_kept_instead_of_growing_without_end():
    store = make_store(2000, max_rows=4 * CHUNK_ROWS)
    assert len(store.read([]).times) <= 4 * CHUNK_ROWS
    assert store.read([]).frames[-1] == 1999


def test_a_seek_backwards_takes_what_came_after_away():
    store = make_store(600)
    store.add_result(make_result(300, make_person(1, 1000)))
    table = store.read([NOSE_X])
    assert table.frames.max() == 300 and store.newest_s == pytest.approx(10)
    assert (np.diff(table.times) >= 0).all()
    assert table.columns[NOSE_X, False][-1] == 1010 and table.frames.tolist().count(300) == 1


def test_a_frame_that_comes_twice_counts_once():
    store = make_store(5)
    store.add_result(make_result(4, make_person(1)))
    assert store.read([]).frames.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]


def test_a_stretch_of_time_can_be_asked_for():
    table = make_store(600).read([NOSE_X], since_s=5, until_s=6)
    assert (table.frames.min(), table.frames.max()) == (150, 180)
    assert len(table.times) == 62


def test_another_skeleton_or_a_reset_begins_anew():
    store = make_store(5)
    store.set_skeleton(COCO17)
    assert len(store.read([]).times) == 10
    store.set_skeleton(LSP14)
    assert not len(store.read([]).times)
    store.add_result(make_result(0, make_person(1)))
    assert store.newest_s is None, "keypoints of the other skeleton are passed over"
    store.add_result(make_result(0, make_person(1, keypoints=14)))
    store.reset()
    assert store.newest_s is None and not len(store.read([]).times)


def test_a_copy_goes_its_own_way():
    store = make_store(5)
    other = store.copy()
    store.add_result(make_result(5, make_person(1)))
    store.add_result(make_result(0, make_person(9)))
    assert other.read([NOSE_X]).people() == [1, 2] and len(other.read([]).times) == 10


def test_a_line_is_broken_where_somebody_was_gone_and_nowhere_else():
    times = np.concatenate([np.arange(10) / 30, 2 + np.arange(10) / 30])
    broken, values = break_gaps(times, np.ones(20))
    assert len(broken) == 21 and np.flatnonzero(np.isnan(values)).tolist() == [10]
    assert (np.diff(broken) >= 0).all()
    slow = np.arange(10) * 1.0
    assert len(break_gaps(slow, np.ones(10))[0]) == 10
    assert len(break_gaps(times[:1], np.ones(1))[0]) == 1


def test_thinning_keeps_peaks_and_gaps_and_the_order():
    times = np.arange(10_000) / 100
    values = np.sin(times)
    values[4321] = 9.0
    values[6000:6500] = np.nan
    kept_times, kept = thin_out(times, values, 900)
    assert 400 < len(kept) <= 902
    assert (np.diff(kept_times) > 0).all()
    assert np.nanmax(kept) == 9.0 and np.nanmin(kept) == np.nanmin(values)
    assert np.isnan(kept[(kept_times > 60.5) & (kept_times < 64.5)]).all()
    assert thin_out(times[:800], values[:800], 900)[1] is not None
    assert len(thin_out(times[:800], values[:800], 900)[0]) == 800


def test_a_quantity_is_written_and_read_back():
    for quantity in (Quantity("angle", "left_knee"), NOSE_Y):
        assert Quantity.parse(str(quantity)) == quantity
    for text in ("left_knee", "weight:nose", "x:"):
        with pytest.raises(ValueError, match="speed:left_wrist"):
            Quantity.parse(text)
