import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.desktop.flow_layout import FlowLayout


@pytest.fixture
def parts(qtbot: QtBot) -> tuple[QWidget, FlowLayout, list[QWidget]]:
    """A widget with three parts of 100 × 20, 40 and 20 px, 10 px between them and 5 between rows."""
    root = QWidget()
    qtbot.addWidget(root)
    flow = FlowLayout(root, gap_px=10, row_gap_px=5)
    widgets = []
    for height in (20, 40, 20):
        widget = QWidget()
        widget.setFixedSize(100, height)
        flow.addWidget(widget)
        widgets.append(widget)
    root.show()
    return root, flow, widgets


def places(widgets: list[QWidget]) -> list[tuple[int, int]]:
    return [(widget.x(), widget.y()) for widget in widgets]


def test_parts_stand_in_one_row_where_there_is_room(parts: tuple[QWidget, FlowLayout, list[QWidget]]):
    root, flow, widgets = parts
    assert flow.sizeHint() == QSize(320, 40) and flow.minimumSize() == QSize(100, 40)
    assert flow.heightForWidth(320) == 40
    root.resize(320, 40)
    assert places(widgets) == [(0, 10), (110, 0), (220, 10)]


def test_parts_go_on_in_the_next_row(parts: tuple[QWidget, FlowLayout, list[QWidget]]):
    root, flow, widgets = parts
    assert (flow.heightForWidth(319), flow.heightForWidth(100)) == (65, 90)
    root.resize(219, 65)
    assert places(widgets) == [(0, 10), (110, 0), (0, 45)]


def test_hidden_parts_take_no_room(parts: tuple[QWidget, FlowLayout, list[QWidget]]):
    root, flow, widgets = parts
    widgets[1].hide()
    root.resize(219, 65)
    flow.activate()
    assert flow.heightForWidth(210) == 20 and (widgets[2].x(), widgets[2].y()) == (110, 0)


def test_rows_begin_at_the_right_where_people_read_so(parts: tuple[QWidget, FlowLayout, list[QWidget]]):
    root, flow, widgets = parts
    root.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    root.resize(320, 40)
    flow.activate()
    assert [widget.x() for widget in widgets] == [220, 110, 0]


def test_nothing_needs_no_room(qtbot: QtBot):
    root = QWidget()
    qtbot.addWidget(root)
    flow = FlowLayout(root)
    assert flow.heightForWidth(100) == 0 and flow.itemAt(0) is None and flow.takeAt(0) is None
