import sys

from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot

from app.desktop.plots_holder import PlotsHolder


def test_the_panel_is_made_once_when_it_is_first_seen(qtbot: QtBot):
    made: list[QWidget] = []

    def make() -> QWidget:
        made.append(QLabel("panel"))
        return made[-1]

    holder = PlotsHolder(make)
    qtbot.addWidget(holder)
    assert not made
    holder.show()
    assert holder._wait.isVisible()
    qtbot.waitUntil(lambda: bool(made), timeout=20_000)
    assert "app.desktop.plots" in sys.modules and made[0].isVisible() and holder._wait.isHidden()
    holder.hide()
    holder.show()
    qtbot.wait(50)
    assert len(made) == 1
    holder.close_threads()


def test_nothing_is_made_after_it_was_closed(qtbot: QtBot):
    made: list[QWidget] = []
    holder = PlotsHolder(lambda: made.append(QLabel()) or made[-1])  # type: ignore[func-returns-value]
    qtbot.addWidget(holder)
    holder.show()
    holder.close_threads()
    qtbot.wait(50)
    assert not made
