import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel
from pytestqt.qtbot import QtBot

from app.desktop.card import Card, RowButton
from app.desktop.welcome import RECENT_SHOWN, WelcomePage
from engine.live_values import SourceRequest

LEFT = Qt.MouseButton.LeftButton
RUN = SourceRequest("/videos/run.mp4", "run.mp4")
CAMERA = SourceRequest("0", "HD Webcam")
STREAM = SourceRequest("rtsp://anna:secret@10.0.0.2/live", "rtsp://***@10.0.0.2/live")


@pytest.fixture
def page(qtbot: QtBot) -> WelcomePage:
    widget = WelcomePage()
    qtbot.addWidget(widget)
    widget.resize(900, 640)
    widget.show()
    return widget


def button(page: WelcomePage, name: str) -> QAbstractButton:
    buttons = page.findChildren(QAbstractButton)
    (found,) = [b for b in buttons if name in (b.accessibleName(), b.text().replace("&", ""))]
    return found


CHOICES = [
    ("Camera", "camera_wanted"),
    ("Video file", "file_wanted"),
    ("Demo", "demo_wanted"),
    ("Image folder…", "folder_wanted"),
    ("Network stream…", "stream_wanted"),
]


@pytest.mark.parametrize(("name", "signal"), CHOICES)
def test_a_click_on_a_choice_asks_for_that_kind_of_source(
    page: WelcomePage, qtbot: QtBot, name: str, signal: str
):
    with qtbot.waitSignal(getattr(page, signal)):
        qtbot.mouseClick(button(page, name), LEFT)


@pytest.mark.parametrize(("name", "signal"), CHOICES)
def test_a_choice_is_made_by_keyboard(page: WelcomePage, qtbot: QtBot, name: str, signal: str):
    assert button(page, name).focusPolicy() & Qt.FocusPolicy.TabFocus
    with qtbot.waitSignal(getattr(page, signal)):
        qtbot.keyClick(button(page, name), Qt.Key.Key_Space)


def test_files_can_be_dropped_and_it_says_so(page: WelcomePage):
    assert any("drop" in label.text() for label in page.findChildren(QLabel) if label.isVisible())


def test_the_first_run_lists_nothing_recent(page: WelcomePage):
    assert page.recent == ()
    assert not [
        label for label in page.findChildren(QLabel) if label.text() == "Recent" and label.isVisible()
    ]


def test_a_recent_source_is_opened_again(page: WelcomePage, qtbot: QtBot):
    page.set_recent([RUN, CAMERA])
    with qtbot.waitSignal(page.recent_chosen) as signal:
        qtbot.mouseClick(button(page, "Open HD Webcam"), LEFT)
    assert signal.args == [CAMERA]


def test_a_recent_source_is_forgotten_on_request_only(page: WelcomePage, qtbot: QtBot):
    page.set_recent([RUN, CAMERA])
    with qtbot.waitSignal(page.recent_removed) as signal:
        qtbot.mouseClick(button(page, "Take run.mp4 off the list"), LEFT)
    assert signal.args == [RUN]
    assert page.recent == (RUN, CAMERA), "who keeps the list decides"


def test_a_new_list_takes_the_place_of_the_old(page: WelcomePage, qtbot: QtBot):
    for _ in range(3):
        page.set_recent([RUN, CAMERA])
    page.set_recent([CAMERA])
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    qtbot.wait(10)
    rows = [row for row in page.findChildren(RowButton) if row.accessibleName().startswith("Open ")]
    assert len(rows) == 1


def test_a_long_list_is_cut(page: WelcomePage):
    page.set_recent([SourceRequest(f"{index}.mp4", f"{index}.mp4") for index in range(20)])
    assert [request.label for request in page.recent] == [f"{index}.mp4" for index in range(RECENT_SHOWN)]


def test_a_password_is_never_shown(page: WelcomePage):
    page.set_recent([STREAM])
    texts = [f"{b.text()} {b.toolTip()} {b.accessibleName()}" for b in page.findChildren(QAbstractButton)]
    assert any("10.0.0.2" in text for text in texts)
    assert not any("secret" in text for text in texts)


def test_a_long_name_is_shortened_in_its_middle(page: WelcomePage, qtbot: QtBot):
    name = "a" * 200 + ".mp4"
    page.set_recent([SourceRequest(name, name)])
    qtbot.wait(20)
    row = button(page, f"Open {name}")
    assert "…" in row.shown_text and row.shown_text.endswith(".mp4")
    assert row.fontMetrics().horizontalAdvance(row.shown_text) < row.width()
    assert page.widget().width() <= 900


def test_cards_stand_one_under_the_other_in_a_narrow_window(page: WelcomePage, qtbot: QtBot):
    def rows() -> int:
        return len({card.mapTo(page, card.rect().topLeft()).y() for card in page.findChildren(Card)})

    qtbot.wait(20)
    assert rows() == 1
    page.resize(380, 640)
    qtbot.waitUntil(lambda: rows() == 3, timeout=1000)
    for card in page.findChildren(Card):
        assert card.width() <= 380
        assert card.height() >= card.heightForWidth(card.width())
    page.resize(900, 640)
    qtbot.waitUntil(lambda: rows() == 1, timeout=1000)


def test_a_card_in_focus_looks_other_than_its_neighbours(page: WelcomePage, qtbot: QtBot):
    card = page.findChildren(Card)[1]
    with qtbot.waitActive(page):
        page.activateWindow()
    page.findChildren(Card)[0].setFocus()
    before = card.grab().toImage()
    card.setFocus()
    assert card.grab().toImage() != before


def test_the_keyboard_starts_at_the_first_card(page: WelcomePage, qtbot: QtBot):
    with qtbot.waitActive(page):
        page.activateWindow()
    page.setFocus()
    with qtbot.waitSignal(page.camera_wanted):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Return)
