from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from app.desktop.people import PeopleList, PeoplePanel
from app.desktop.people_delegate import describe_state, describe_time, follow_rect, ignore_rect
from app.desktop.people_model import RECENT_S, PeopleModel
from engine.structures import TrackedPerson


def person(track_id: int, score: float = 0.8, age_s: float = 2.0) -> TrackedPerson:
    points = np.zeros((3, 2), np.float32)
    return TrackedPerson(
        track_id=track_id, keypoints=points, raw_keypoints=points, velocity=points,
        scores=np.ones(3, np.float32), state=np.full(3, 2, np.int8),
        bbox=np.array([0, 0, 9, 9], np.float32), score=score, age_s=age_s,
    )  # fmt: skip


@pytest.fixture
def model(qtbot: QtBot) -> Iterator[PeopleModel]:

    made = PeopleModel()
    tester = QAbstractItemModelTester(made, QAbstractItemModelTester.FailureReportingMode.Fatal)
    yield made
    tester.deleteLater()


@pytest.fixture
def panel(qtbot: QtBot) -> PeoplePanel:
    made = PeoplePanel()
    qtbot.addWidget(made)
    made.resize(280, 400)
    made.show()
    return made


def ids(model: PeopleModel) -> list[int]:
    return [entry.track_id for entry in model.entries()]


def test_people_come_in_the_order_of_their_numbers(model: PeopleModel):
    model.take_people([person(5), person(2)], 0.0)
    model.take_people([person(5), person(2), person(3)], 0.1)
    assert ids(model) == [2, 3, 5]
    assert [model.index(row).data() for row in range(3)] == ["Person 2", "Person 3", "Person 5"]


def test_somebody_who_leaves_is_shown_as_lost_for_a_while(model: PeopleModel):
    model.take_people([person(1), person(2, age_s=75.0)], 10.0)
    model.take_people([person(2, age_s=78.0)], 13.0)
    first, second = model.entries()
    assert describe_state(first) == "Lost for 3 s" and describe_state(second) == "In view · 1 min 18 s"
    model.take_people([person(2)], 10.0 + RECENT_S + 0.1)
    assert ids(model) == [2]


def test_somebody_who_comes_back_is_in_view_again(model: PeopleModel):
    model.take_people([person(1)], 0.0)
    model.take_people([], 5.0)
    model.take_people([person(1, score=0.5)], 6.0)
    (entry,) = model.entries()
    assert entry.in_view and entry.score == 0.5


def test_seeking_back_leaves_nobody_in_view_who_is_not(model: PeopleModel):
    model.take_people([person(1)], 50.0)
    model.take_people([], 2.0)
    assert [entry.in_view for entry in model.entries()] == [False]


def test_ignored_people_are_listed_last_and_can_be_brought_back(model: PeopleModel):
    model.take_people([person(1), person(2)], 0.0)
    model.take_book({1: "Ann"}, {1, 9}, 2)
    assert ids(model) == [2, 1, 9]
    assert describe_state(model.entry(9)) == "Ignored" and model.entry(2).followed
    model.take_people([], 100.0)
    assert ids(model) == [2, 1, 9]
    model.take_book({1: "Ann"}, set(), None)
    assert ids(model) == []
    model.take_people([person(1)], 101.0)
    assert model.index(0).data() == "Ann"


def test_a_name_that_is_typed_is_told_and_an_empty_one_takes_it_away(model: PeopleModel):
    told: list[tuple[int, str]] = []
    model.renamed.connect(lambda number, name: told.append((number, name)))
    model.take_people([person(4)], 0.0)
    assert model.setData(model.index(0), "  Bo ")
    assert model.setData(model.index(0), "Bo")
    model.take_people([person(4)], 0.1)
    assert model.index(0).data() == "Bo"
    model.setData(model.index(0), "")
    assert told == [(4, "Bo"), (4, "")] and model.index(0).data() == "Person 4"


def test_the_list_follows_at_most_five_times_a_second(panel: PeoplePanel, qtbot: QtBot):
    changes: list[int] = []
    panel._model.dataChanged.connect(lambda *_: changes.append(1))
    for frame in range(50):
        panel.show_people([person(1, score=frame / 50)], frame / 30)
    assert len(changes) == 1
    qtbot.waitUntil(lambda: panel._model.entry(1).score == 49 / 50, timeout=1000)
    assert len(changes) == 2


def test_keys_rename_follow_and_ignore(panel: PeoplePanel, qtbot: QtBot):
    told: list[tuple[object, ...]] = []
    panel.renamed.connect(lambda *what: told.append(("renamed", *what)))
    panel.follow_toggled.connect(lambda *what: told.append(("follow", *what)))
    panel.ignore_toggled.connect(lambda *what: told.append(("ignore", *what)))
    panel.show_people([person(3), person(7)], 0.0)
    panel.select(7)
    view = panel.findChild(PeopleList)
    qtbot.keyClick(view, Qt.Key.Key_F)
    qtbot.keyClick(view, Qt.Key.Key_Delete)
    qtbot.keyClick(view, Qt.Key.Key_F2)
    line = view.findChild(QLineEdit)
    qtbot.keyClicks(line, "Cleo")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(told) == 3, timeout=1000)
    assert told == [("follow", 7), ("ignore", 7), ("renamed", 7, "Cleo")]


def test_a_name_being_typed_survives_people_coming_and_going(panel: PeoplePanel, qtbot: QtBot):
    panel.show_people([person(3), person(7)], 0.0)
    panel.rename(7)
    view = panel.findChild(PeopleList)
    line = view.findChild(QLineEdit)
    qtbot.keyClicks(line, "Cl")
    panel._model.take_people([person(1), person(7)], 0.2)
    panel._model.take_people([person(7)], 30.0)
    qtbot.keyClicks(line, "eo")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: panel._model.entry(7).name == "Cleo", timeout=1000)
    assert ids(panel._model) == [7]


def test_clicks_on_the_buttons_follow_and_ignore(panel: PeoplePanel, qtbot: QtBot):
    told: list[tuple[str, int]] = []
    panel.follow_toggled.connect(lambda number: told.append(("follow", number)))
    panel.ignore_toggled.connect(lambda number: told.append(("ignore", number)))
    panel.show_people([person(3), person(7)], 0.0)
    view = panel.findChild(PeopleList)
    row = view.visualRect(view.model().index(1, 0))
    for place in (follow_rect(row), ignore_rect(row)):
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place.center())
    assert told == [("follow", 7), ("ignore", 7)]
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(60, row.center().y()))
    assert len(told) == 2 and view.currentIndex().row() == 1


def test_the_menu_offers_the_same(panel: PeoplePanel):
    told: list[int] = []
    panel.ignore_toggled.connect(told.append)
    panel.show_people([person(3)], 0.0)
    panel.set_book({}, {3}, 3)
    view = panel.findChild(PeopleList)
    menu = view.make_menu(view.model().index(0, 0))
    assert [action.text() for action in menu.actions()] == ["&Rename", "&Follow", "&Ignore"]
    assert all(action.isChecked() for action in menu.actions()[1:])
    menu.actions()[2].trigger()
    assert told == [3]
    menu.deleteLater()


def test_reset_forgets_everybody_and_says_so(panel: PeoplePanel, qtbot: QtBot):
    panel.show_people([person(3)], 0.0)
    panel.set_book({3: "x"}, {8}, 3)
    panel.show_people([person(4)], 0.1)
    panel.reset()
    qtbot.wait(250)
    assert ids(panel._model) == []
    panel.grab()
    panel.show_people([person(3)], 0.2)
    assert panel._model.index(0).data() == "Person 3"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.7, "1 min 0 s"), (599, "9 min 59 s"), (3725, "62 min")],
)
def test_times_are_short(seconds: float, text: str):
    assert describe_time(seconds) == text
