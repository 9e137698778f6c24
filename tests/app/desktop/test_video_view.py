from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolButton

from app.desktop.overlay import OverlayOptions
from app.desktop.stage_colours import GROUND, person_colour
from app.desktop.video_view import VideoView
from engine.live_values import LiveResult
from engine.skeleton import Skeleton
from engine.structures import Frame, Result, TrackedPerson

PAIR = Skeleton(name="pair", keypoints=("a", "b"), limbs=((0, 1),), flip_pairs=(), oks_sigmas=(0.1, 0.1))
LEFT_BUTTON = Qt.MouseButton.LeftButton


def make_person(track_id: int, x: float) -> TrackedPerson:
    keypoints = np.array([[x, 100], [x, 250]], np.float32)
    return TrackedPerson(
        track_id=track_id,
        keypoints=keypoints,
        raw_keypoints=keypoints,
        velocity=np.zeros((2, 2), np.float32),
        scores=np.ones(2, np.float32),
        state=np.full(2, 2, np.int8),
        bbox=np.array([x - 40, 80, x + 40, 280], np.float32),
        score=1.0,
        age_s=1.0,
    )


def make_live(
    people: tuple[TrackedPerson, ...] = (),
    *,
    size: tuple[int, int] = (360, 640),
    colour: tuple[int, int, int] = (60, 60, 60),
    index: int = 0,
) -> LiveResult:
    """`colour` is BGR."""
    image = np.full((*size, 3), colour, np.uint8)
    return LiveResult(Result(Frame(image, index, index / 30), people), 0.0, 0.0)


@pytest.fixture
def view(qtbot) -> VideoView:
    """640 × 480, shown: a 640 × 360 frame has 60 px of ground above and below."""
    view = VideoView()
    qtbot.addWidget(view)
    view.resize(640, 480)
    view.show()
    qtbot.waitExposed(view)
    return view


def grab(view: VideoView) -> QImage:
    """What is seen, one pixel for each view px on displays of any density."""
    return view.grab().toImage().scaled(view.size())


def click(view: VideoView, x: float, y: float) -> None:
    QTest.mouseClick(view, LEFT_BUTTON, pos=QPoint(round(x), round(y)))


def drag(view: VideoView, start: tuple[int, int], end: tuple[int, int], button=LEFT_BUTTON) -> None:
    QTest.mousePress(view, button, pos=QPoint(*start))
    for share in (0.5, 1.0):
        x, y = (round(a + share * (b - a)) for a, b in zip(start, end))
        QTest.mouseMove(view, QPoint(x, y))
    QTest.mouseRelease(view, button, pos=QPoint(*end))


def test_without_a_result_there_is_only_ground(view):
    picture = grab(view)
    assert {picture.pixelColor(x, y).rgb() for x in (0, 320, 639) for y in (0, 240, 479)} == {GROUND.rgb()}
    assert view.stage_map is None
    assert view.snapshot().isNull()


def test_a_frame_is_letterboxed_and_keeps_its_aspect_through_resizing(view):
    view.show_result(make_live(colour=(200, 100, 50)), PAIR)
    for width, height in ((640, 480), (300, 480), (900, 200)):
        view.resize(width, height)
        _, _, wide, high = view.stage_map.bounds
        assert wide / high == pytest.approx(640 / 360)
        picture = grab(view)
        assert picture.pixelColor(width // 2, height // 2) == QColor(50, 100, 200)
        assert picture.pixelColor(0, 0) == GROUND


def test_a_result_is_painted_over_its_own_frame(view, qtbot):
    red = make_live((make_person(1, 100),), colour=(0, 0, 200), index=0)
    blue = make_live((make_person(1, 500),), colour=(200, 0, 0), index=1)
    for live, ground, x, elsewhere in (
        (red, QColor(200, 0, 0), 100, 500),
        (blue, QColor(0, 0, 200), 500, 100),
    ):
        view.show_result(live, PAIR)
        picture = grab(view)
        assert picture.pixelColor(300, 240) == ground
        assert picture.pixelColor(elsewhere, 235) == ground
        assert picture.pixelColor(x, 235) == person_colour(1, "colour-blind")
        assert view.painted_result is live


def test_painted_comes_once_for_each_result(view, qtbot):
    seen = []
    view.painted.connect(lambda: seen.append(view.painted_result))
    first, second = make_live(index=0), make_live(index=1)
    with qtbot.waitSignal(view.painted):
        view.show_result(first, PAIR)
    view.set_options(OverlayOptions(boxes=True))
    view.repaint()
    view.show_result(first, PAIR)
    view.repaint()
    with qtbot.waitSignal(view.painted):
        view.show_result(second, PAIR)
    assert seen == [first, second]


def test_a_result_overtaken_before_it_is_painted_is_never_told(view, qtbot):
    seen = []
    view.painted.connect(lambda: seen.append(view.painted_result))
    first, second = make_live(index=0), make_live(index=1)
    view.show_result(first, PAIR)
    view.show_result(second, PAIR)
    QApplication.processEvents()
    assert seen == [second]


def test_clear_leaves_ground_and_no_result(view):
    view.show_result(make_live(), PAIR)
    grab(view)
    view.clear()
    assert grab(view).pixelColor(320, 240) == GROUND
    assert view.painted_result is None


def test_a_frame_that_may_not_be_written_to_is_shown(view):
    live = make_live(colour=(1, 2, 3))
    live.result.frame.image.flags.writeable = False
    view.show_result(live, PAIR)
    assert grab(view).pixelColor(320, 240) == QColor(3, 2, 1)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_click_tells_who_was_clicked(view, mirrored):
    view.show_result(make_live((make_person(3, 100), make_person(7, 300))), PAIR)
    view.set_mirrored(mirrored)
    clicked, beside = [], []
    view.person_clicked.connect(clicked.append)
    view.background_clicked.connect(lambda: beside.append(True))
    click(view, 539 if mirrored else 100, 200)
    click(view, 339 if mirrored else 300, 200)
    assert clicked == [3, 7]
    click(view, 320 + (-200 if mirrored else 200), 100)
    assert clicked == [3, 7]
    assert beside == [True]


def test_ignored_people_are_neither_painted_nor_clicked(view):
    view.show_result(make_live((make_person(3, 100),)), PAIR)
    view.set_people({}, frozenset({3}), None)
    clicked = []
    view.person_clicked.connect(clicked.append)
    click(view, 100, 200)
    assert not clicked
    assert grab(view).pixelColor(100, 235) == QColor(60, 60, 60)


def test_a_right_click_asks_for_the_persons_menu(view, qtbot):
    view.show_result(make_live((make_person(3, 100),)), PAIR)
    at = QPoint(100, 200)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, view.mapToGlobal(at))
    with qtbot.waitSignal(view.person_menu_requested) as asked:
        QApplication.sendEvent(view, event)
    assert asked.args == [3, view.mapToGlobal(at)]


def test_the_menu_key_asks_for_the_menu_of_who_is_followed(view, qtbot):
    view.show_result(make_live((make_person(3, 100),)), PAIR)
    view.set_people({}, frozenset(), 3)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(5, 5), QPoint(5, 5))
    with qtbot.waitSignal(view.person_menu_requested) as asked:
        QApplication.sendEvent(view, event)
    assert asked.args[0] == 3


def test_pointing_at_a_person_lights_up_the_box(view):
    view.show_result(make_live((make_person(3, 100),)), PAIR)
    view.set_options(OverlayOptions(ids=False))
    QTest.mouseMove(view, QPoint(100, 200))
    assert view.cursor().shape() == Qt.CursorShape.PointingHandCursor
    assert grab(view).pixelColor(80, 200) != QColor(60, 60, 60)
    QTest.mouseMove(view, QPoint(400, 200))
    assert view.cursor().shape() == Qt.CursorShape.ArrowCursor
    assert grab(view).pixelColor(80, 200) == QColor(60, 60, 60)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_region_is_drawn_in_frame_pixels(view, qtbot, mirrored):
    view.show_result(make_live(), PAIR)
    view.set_mirrored(mirrored)
    view.set_tool("region")
    with qtbot.waitSignal(view.region_drawn) as drawn:
        drag(view, (400, 300), (100, 100))
    left, right = (639.5 - 400, 639.5 - 100) if mirrored else (99.5, 399.5)
    assert drawn.args[0] == pytest.approx((left, 39.5, right, 239.5))


def test_a_region_drawn_past_the_edge_ends_there(view, qtbot):
    view.show_result(make_live(), PAIR)
    view.set_tool("region")
    with qtbot.waitSignal(view.region_drawn) as drawn:
        drag(view, (300, 200), (639, 479))
    assert drawn.args[0] == pytest.approx((299.5, 139.5, 638.5, 359.0))


def test_a_slip_of_the_hand_is_no_region(view, qtbot):
    view.show_result(make_live(), PAIR)
    view.set_tool("region")
    with qtbot.assertNotEmitted(view.region_drawn):
        drag(view, (300, 200), (303, 290))


def test_escape_first_drops_the_rubber_band_and_then_the_tool(view, qtbot):
    view.show_result(make_live(), PAIR)
    view.set_tool("region")
    QTest.mousePress(view, LEFT_BUTTON, pos=QPoint(100, 100))
    QTest.mouseMove(view, QPoint(300, 300))
    with qtbot.assertNotEmitted(view.region_cancelled), qtbot.assertNotEmitted(view.region_drawn):
        QTest.keyClick(view, Qt.Key.Key_Escape)
        QTest.mouseRelease(view, LEFT_BUTTON, pos=QPoint(300, 300))
    with qtbot.waitSignal(view.region_cancelled):
        QTest.keyClick(view, Qt.Key.Key_Escape)


def test_a_region_dims_what_is_outside_and_can_be_cleared(view, qtbot):
    view.show_result(make_live(), PAIR)
    button = view.findChild(QToolButton)
    assert not button.isVisible()
    view.set_region((200.0, 100.0, 400.0, 300.0))
    picture = grab(view)
    assert picture.pixelColor(300, 250) == QColor(60, 60, 60)
    assert picture.pixelColor(100, 250).lightness() < 50
    assert button.isVisible()
    assert button.accessibleName() == button.toolTip() == "Clear the region"
    with qtbot.waitSignal(view.region_cleared):
        QTest.mouseClick(button, LEFT_BUTTON)
    view.set_region(None)
    assert not button.isVisible()


def test_the_wheel_zooms_about_the_mouse_and_a_double_click_fits(view):
    view.show_result(make_live(), PAIR)
    at = QPointF(500, 300)
    before = view.stage_map.to_frame(at.x(), at.y())[0]
    for _ in range(3):
        event = QWheelEvent(
            at, view.mapToGlobal(at), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(view, event)
    assert view.stage_map.scale == pytest.approx(1.25**3)
    assert view.stage_map.to_frame(at.x(), at.y())[0] == pytest.approx(before, abs=1)
    QTest.mouseDClick(view, LEFT_BUTTON, pos=QPoint(500, 300))
    assert view.stage_map.scale == 1.0


def test_plus_minus_and_zero_zoom_and_arrows_are_left_to_the_window(view, qtbot):
    view.show_result(make_live(), PAIR)
    QTest.keyClick(view, Qt.Key.Key_Plus)
    assert view.stage_map.scale == pytest.approx(1.25)
    with qtbot.waitSignal(view.zoom_changed) as zoomed:
        QTest.keyClick(view, Qt.Key.Key_Plus)
    assert zoomed.args[0] == pytest.approx(1.25**2 * view.devicePixelRatioF())
    QTest.keyClick(view, Qt.Key.Key_Minus)
    assert view.stage_map.scale == pytest.approx(1.25)
    QTest.keyClick(view, Qt.Key.Key_0)
    assert view.stage_map.scale == 1.0
    place = view.stage_map
    QTest.keyClick(view, Qt.Key.Key_Left)
    assert view.stage_map == place


def test_actual_size_shows_a_pixel_on_a_pixel(view):
    view.show_result(make_live(size=(720, 1280)), PAIR)
    assert view.stage_map.scale == 0.5
    view.actual_size()
    assert view.stage_map.scale * view.devicePixelRatioF() == 1.0


@pytest.mark.parametrize("button", [LEFT_BUTTON, Qt.MouseButton.MiddleButton])
def test_dragging_pans_the_zoomed_frame_and_clicks_nobody(view, qtbot, button):
    view.show_result(make_live((make_person(1, 320),)), PAIR)
    view.zoom_in()
    view.zoom_in()
    before = view.stage_map
    with qtbot.assertNotEmitted(view.person_clicked):
        drag(view, (320, 240), (280, 250), button)
    assert view.stage_map.left == pytest.approx(before.left - 40)
    assert view.stage_map.top == pytest.approx(before.top + 10)


def test_who_is_followed_comes_to_the_middle_of_a_zoomed_view(view):
    view.show_result(make_live((make_person(1, 320),)), PAIR)
    view.set_people({}, frozenset(), 1)
    for _ in range(4):
        view.zoom_in()
    for index in range(1, 60):
        view.show_result(make_live((make_person(1, 200),), index=index), PAIR)
    (x, y) = view.stage_map.to_view(np.array([200.0, 180.0]))
    assert (x, y) == pytest.approx((320, 240), abs=3)


def test_a_frame_of_another_size_is_fitted(view):
    view.show_result(make_live(), PAIR)
    view.zoom_in()
    view.show_result(make_live(size=(720, 1280)), PAIR)
    assert view.stage_map.scale == 0.5


def test_a_zoomed_frame_fills_the_view_with_its_visible_part(view):
    image = np.zeros((360, 640, 3), np.uint8)
    image[:, 320:] = (0, 0, 255)
    live = make_live()
    live = replace(live, result=replace(live.result, frame=replace(live.result.frame, image=image)))
    view.show_result(live, PAIR)
    for mirrored in (False, True):
        view.set_mirrored(mirrored)
        for _ in range(8):
            view.zoom_in()
        picture = grab(view)
        left, right = picture.pixelColor(200, 240), picture.pixelColor(440, 240)
        assert (left.red(), right.red()) == ((255, 0) if mirrored else (0, 255))
        view.fit()


def test_a_snapshot_has_the_frames_size_and_its_people_and_is_never_mirrored(view):
    view.show_result(make_live((make_person(1, 200),), size=(720, 1280)), PAIR)
    view.set_mirrored(True)
    view.zoom_in()
    picture = view.snapshot()
    assert (picture.width(), picture.height()) == (1280, 720)
    assert picture.pixelColor(200, 170) == person_colour(1, "colour-blind")
    view.clear()
    assert picture.pixelColor(0, 0) == QColor(60, 60, 60), "it outlives its frame"


def test_trails_appear_when_people_have_moved(view):
    view.set_options(OverlayOptions(limbs=False, keypoints=False, ids=False, trails=True))
    for index in range(20):
        view.show_result(make_live((make_person(1, 100 + 10 * index),), index=index), PAIR)
    picture = grab(view)
    column = [picture.pixelColor(250, y) for y in range(230, 250)]
    assert any(colour != QColor(60, 60, 60) for colour in column)


def test_the_stage_names_itself_for_screen_readers(view):
    assert view.accessibleName() == "Video"
    assert view.focusPolicy() & Qt.FocusPolicy.TabFocus
