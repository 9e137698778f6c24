import pytest
from pytestqt.qtbot import QtBot

from app.desktop.plots_axis import PlotAxis, TimeAxis
from app.desktop.plots_data import Quantity
from app.desktop.plots_view import PlotCard


@pytest.mark.parametrize(
    ("values", "spacing", "texts"),
    [
        ([0, 2, 58], 2, ["0 s", "2 s", "58 s"]),
        ([1.5, 60.5], 0.5, ["1.5 s", "1:00.5"]),
        ([61, 3661], 1, ["1:01", "1:01:01"]),
    ],
)
def test_times_are_written_as_one_reads_them(
    qtbot: QtBot, values: list[float], spacing: float, texts: list[str]
):
    assert TimeAxis("bottom").tickStrings(values, 1.0, spacing) == texts


def test_grid_lines_are_seen_on_the_ground(qtbot: QtBot):
    card = PlotCard(Quantity("x", "nose"))
    qtbot.addWidget(card)
    card.resize(400, 200)
    axis = card._item.getAxis("left")
    assert isinstance(axis, PlotAxis)
    axis.setGrid(False)
    card.show()
    without = card._plot.grab().toImage()
    axis.setGrid(255)
    assert card._plot.grab().toImage() != without


def test_an_axis_is_drawn_anew_only_where_its_values_come_or_go(qtbot: QtBot):
    axis = PlotAxis("left")
    axis.picture = drawn = object()
    axis.set_written(True)
    assert axis.picture is drawn
    axis.set_written(False)
    assert axis.picture is None
