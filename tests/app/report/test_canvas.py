"""Times and colours of plots."""

import pytest

from app.report.canvas import clock, person_colour, text_on
from engine.sinks.drawing import PALETTE, track_colour


@pytest.mark.parametrize(
    ("time_s", "hours", "text"),
    [
        (0, False, "0:00"),
        (65.4, False, "1:05"),
        (3725, True, "1:02:05"),
        (-30, False, "-0:30"),
        (59.6, False, "1:00"),
    ],
)
def test_moments_are_written_as_on_a_clock(time_s: float, hours: bool, text: str) -> None:
    assert clock(time_s, hours=hours) == text


def test_a_person_has_the_colour_of_the_annotated_video() -> None:
    for track_id in range(10):
        blue, green, red = track_colour(track_id)
        assert person_colour(track_id) == f"#{red:02x}{green:02x}{blue:02x}"
    assert len({person_colour(track_id) for track_id in range(20)}) == len(PALETTE)


def test_text_on_a_colour_can_be_read() -> None:
    assert text_on("#f0e442") != text_on("#0072b2") == "white"
