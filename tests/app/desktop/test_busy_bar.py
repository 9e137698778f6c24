import pytest
from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

from app.desktop.busy_bar import BusyBar


@pytest.fixture
def bar(qtbot: QtBot) -> BusyBar:
    widget = BusyBar()
    qtbot.addWidget(widget)
    widget.resize(200, 6)
    return widget


def filled(bar: BusyBar) -> list[int]:
    image = bar.grab().toImage()
    colour = bar.palette().highlight().color()
    return [x for x in range(image.width()) if image.pixelColor(x, 3).name() == colour.name()]


def test_a_known_share_is_filled_from_the_left(bar: BusyBar):
    bar.set_share(0.5)
    assert 95 <= len(filled(bar)) <= 100
    assert max(filled(bar)) < 101


def test_without_a_share_a_piece_runs(bar: BusyBar, qtbot: QtBot):
    bar.show()
    before = filled(bar)
    assert 40 < len(before) < 70
    qtbot.waitUntil(lambda: filled(bar) != before, timeout=2000)


def test_it_rests_while_hidden_or_known(bar: BusyBar):
    timer = bar.findChild(QTimer)
    assert not timer.isActive()
    bar.show()
    assert timer.isActive()
    bar.set_share(0.1)
    assert not timer.isActive()
    bar.set_share(None)
    assert timer.isActive()
    bar.hide()
    assert not timer.isActive()
