import math
from itertools import pairwise

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QHelpEvent, QImage
from PySide6.QtWidgets import QApplication, QToolTip, QWidget
from pytestqt.qtbot import QtBot

from app.desktop.stage_times import STAGES, StageTimes, in_order, stage_colour, stage_meaning, stage_name
from app.desktop.theme import make_palette
from engine.timing import Stopwatch

TIMES = {"decode_source": 10.0, "find": 0.0, "infer": 30.0, "track": math.nan}


@pytest.fixture
def times(qtbot: QtBot) -> StageTimes:
    widget = StageTimes()
    qtbot.addWidget(widget)
    widget.resize(264, widget.sizeHint().height())
    widget.show()
    return widget


def bar(times: StageTimes) -> QWidget:
    (found,) = [child for child in times.findChildren(QWidget) if child.accessibleName() == "Time per stage"]
    return found


def widths(times: StageTimes) -> dict[str, int]:
    image = bar(times).grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    row = [image.pixelColor(x, image.height() // 2).name() for x in range(image.width())]
    return {stage: row.count(stage_colour(stage, times.palette()).name()) for stage in STAGES}


def test_pieces_are_as_wide_as_their_share(times: StageTimes):
    times.show_stages(TIMES)
    found = widths(times)
    assert found["decode_source"] == pytest.approx(66, abs=2)
    assert found["infer"] == pytest.approx(198, abs=2)
    assert found["find"] == found["track"] == found["prepare"] == 0


def test_the_legend_says_milliseconds_and_a_dash_where_unknown(times: StageTimes):
    times.show_stages(TIMES)
    assert [times.value_text(stage) for stage in STAGES] == ["10.0", "0.0", "–", "30.0", "–", "–"]


def test_nothing_measured_yet_is_an_empty_bar(times: StageTimes):
    times.show_stages({})
    assert set(widths(times).values()) == {0}


def test_a_stage_not_known_here_is_shown_all_the_same(times: StageTimes):
    times.show_stages(TIMES | {"flip_test": 2.0})
    assert in_order(TIMES | {"flip_test": 2.0}) == [*STAGES, "flip_test"]
    assert stage_name("flip_test") == "flip test"
    assert times.value_text("flip_test") == "2.0"


def test_running_values_move_nothing(times: StageTimes):
    places = set()
    for ms in (0.1, 9.9, 88.8, 456.7):
        times.show_stages(dict.fromkeys(STAGES, ms))
        times.grab()
        places.add(tuple(child.geometry().getRect() for child in times.findChildren(QWidget)))
    assert len(places) == 1


@pytest.mark.parametrize("theme", ["light", "dark", "high-contrast"])
def test_stages_are_told_apart(theme: str, qtbot: QtBot):
    palette = make_palette(theme)
    colours = [stage_colour(stage, palette) for stage in STAGES]
    assert len({colour.name() for colour in colours}) == len(STAGES)
    for first, second in pairwise(colours):
        assert abs(first.lightness() - second.lightness()) >= 12 or first.hue() != second.hue()


def test_names_and_meanings_are_those_of_the_stopwatch(qtbot: QtBot):
    watch = Stopwatch()
    for stage in STAGES:
        with watch.stage(stage):
            pass
    assert tuple(watch.take()) == STAGES
    assert [stage_name(stage) for stage in STAGES] == [
        "read",
        "find",
        "prepare",
        "network",
        "decode",
        "track",
    ]
    assert len({stage_meaning(stage) for stage in STAGES}) == len(STAGES)


def test_a_piece_says_what_it_is(times: StageTimes, qtbot: QtBot):
    times.show_stages(TIMES)
    place = QPoint(150, 8)
    QApplication.sendEvent(
        bar(times), QHelpEvent(QHelpEvent.Type.ToolTip, place, bar(times).mapToGlobal(place))
    )
    assert QToolTip.text() == "network: 30.0 ms. Running the network that sees the keypoints"
    QToolTip.hideText()
