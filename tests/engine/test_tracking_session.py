from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine.errors import UsageError
from engine.structures import Frame
from engine.tracking_session import TrackingSession, check_image

Paint = Callable[[int], np.ndarray]
Opened = Callable[..., TrackingSession]


@pytest.fixture
def paint(marker_image: Any, walking_pair: Any) -> Paint:
    """Function from an index to that picture of the walking pair."""
    return lambda index: marker_image((360, 640), walking_pair(index))


@pytest.fixture
def settings(top_down_file: Path, bottom_up_file: Path) -> dict[str, Any]:
    return {
        "mode": "bottom-up",
        "top_down_model": str(top_down_file),
        "bottom_up_model": str(bottom_up_file),
        "threads": 1,
    }


@pytest.fixture
def opened(settings: dict[str, Any]) -> Iterator[Opened]:
    """Function (**options) that opens a tracker with the marker models; they are closed afterwards."""
    made: list[TrackingSession] = []

    def make(**options: Any) -> TrackingSession:
        made.append(engine.open_tracker(**(settings | options)))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def session(opened: Opened) -> TrackingSession:
    return opened(fps=30)


def ids(result: engine.Result) -> list[int]:
    return [person.track_id for person in result.people]


def test_pictures_one_by_one_give_what_the_same_folder_gives(
    session: TrackingSession, paint: Paint, marker_folder: Path, settings: dict[str, Any]
) -> None:
    folder = list(engine.track(marker_folder, **settings))
    single = [session.update(paint(index)) for index in range(len(folder))]
    for ours, theirs in zip(single, folder, strict=True):
        assert ours.frame.time_s == pytest.approx(theirs.frame.time_s)
        assert ids(ours) == ids(theirs) and ours.frame.index == theirs.frame.index
        for one, other in zip(ours.people, theirs.people, strict=True):
            np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-3)
    assert ids(single[-1]) == [1, 2]


def test_times_are_counted_on_from_the_last_one_where_none_is_given(opened: Opened, paint: Paint) -> None:
    session = opened(fps=10)
    given = (None, None, 5.0, None)
    times = [session.update(paint(0), time_s).frame.time_s for time_s in given]
    assert times == pytest.approx([0.0, 0.1, 5.0, 5.1])


def test_a_result_carries_the_array_it_was_given(session: TrackingSession, paint: Paint) -> None:
    image = paint(0)
    assert session.update(image).frame.image is image


def test_a_mirrored_view_of_an_array_is_a_picture_like_any_other(opened: Opened, paint: Paint) -> None:
    straight, mirrored = (opened(confirm_s=0.0).update(image) for image in (paint(0), paint(0)[:, ::-1]))
    assert len(mirrored.people) == len(straight.people) > 0
    widths = np.sort([person.bbox[0] for person in straight.people])
    assert not np.allclose(widths, np.sort([person.bbox[0] for person in mirrored.people]))


def test_the_size_of_pictures_may_change(session: TrackingSession, paint: Paint) -> None:
    for index in range(6):
        session.update(paint(index))
    for index in range(6, 12):
        result = session.update(np.ascontiguousarray(paint(index)[:340, :600]))
    assert len(result.people) == 2


def test_frames_keep_their_index_and_time(session: TrackingSession, paint: Paint) -> None:
    result = session.update(Frame(paint(0), 7, 3.5))
    assert (result.frame.index, result.frame.time_s) == (7, 3.5)
    assert session.update(paint(0)).frame.index == 8
    with pytest.raises(UsageError, match="has its own time_s"):
        session.update(Frame(paint(0), 9, 5.0), 5.0)


@pytest.mark.parametrize("time_s", [1.0, 0.5])
def test_time_that_does_not_move_on_is_refused_and_nothing_is_lost(
    session: TrackingSession, paint: Paint, time_s: float
) -> None:
    session.update(paint(0), 1.0)
    with pytest.raises(UsageError, match=r"later than the 1 s .* reset\(\)"):
        session.update(paint(1), time_s)
    assert session.update(paint(1), 1.1).frame.index == 1


@pytest.mark.parametrize("time_s", [float("nan"), float("inf")])
def test_times_must_be_numbers(session: TrackingSession, paint: Paint, time_s: float) -> None:
    with pytest.raises(UsageError, match="number of seconds"):
        session.update(paint(0), time_s)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("clip.mp4", "got str; engine.track takes files"),
        ([[0, 0, 0]], "got list"),
        (np.zeros((4, 4), np.uint8), r"uint8 of shape \(4, 4\); cv2.cvtColor"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(image: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_image(image)


def test_after_a_reset_ids_begin_anew_and_time_may_go_back(opened: Opened, paint: Paint) -> None:
    session = opened(confirm_s=0.0)
    session.update(paint(0), 100.0)
    session.reset()
    result = session.update(paint(0), 2.0)
    assert ids(result) == [1, 2] and result.frame.index == 0


def test_stills_show_everybody_at_once_and_in_any_order_of_time(opened: Opened, paint: Paint) -> None:
    session = opened(stills=True)
    assert ids(session.update(paint(0), 5.0)) == [1, 2]
    assert ids(session.update(paint(20), 1.0)) == [1, 2]


def test_a_closed_tracker_says_so(opened: Opened, paint: Paint) -> None:
    with opened() as session:
        session.update(paint(0))
    session.close()
    with pytest.raises(UsageError, match=r"closed; open another one with engine\.open_tracker"):
        session.update(paint(1))


def test_settings_are_those_of_track(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="did you mean 'keep_alive_s'"):
        engine.open_tracker(**settings, keep_alive=2)
    with pytest.raises(UsageError, match="fps must be a number above 0"):
        engine.open_tracker(**settings, fps=0)


def test_a_tracker_tells_its_keypoints_models_and_choice(session: TrackingSession) -> None:
    told = session.describe()
    assert session.skeleton.name == "markers6" and session.choice["mode"] == "bottom-up"
    assert isinstance(told["models"], list) and told["models"][0]["name"] == "markers-bu"
