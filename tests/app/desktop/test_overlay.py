from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtGui import QColor, QImage, QPainter

from app.desktop.overlay import Attention, OverlayOptions, paint_heatmap, paint_people, paint_trails
from app.desktop.stage_colours import lighter, person_colour
from app.desktop.stage_mapping import StageMap
from engine.sinks.drawing import track_colour
from engine.skeleton import COCO17, Skeleton
from engine.structures import KeypointState, TrackedPerson

PAIR = Skeleton(name="pair", keypoints=("a", "b"), limbs=((0, 1),), flip_pairs=(), oks_sigmas=(0.1, 0.1))
PLACE = StageMap(1.0, 0.0, 0.0, 400, 300)
BARE = OverlayOptions(limbs=False, keypoints=False, ids=False)
GROUND = QColor(90, 90, 90)


@pytest.fixture(autouse=True)
def _application(qapp):
    """Texts need one."""


def make_person(
    track_id: int = 1, *, x: float = 100.0, score: float = 0.9, state: int = KeypointState.MEASURED
) -> TrackedPerson:
    keypoints = np.array([[x, 100], [x, 200]], np.float32)
    if state == KeypointState.MISSING:
        keypoints[:] = np.nan
    return TrackedPerson(
        track_id=track_id,
        keypoints=keypoints,
        raw_keypoints=keypoints + np.array([40, 0], np.float32),
        velocity=np.zeros((2, 2), np.float32),
        scores=np.full(2, score, np.float32),
        state=np.full(2, state, np.int8),
        bbox=np.array([x - 60, 60, x + 60, 240], np.float32),
        score=score,
        age_s=1.0,
    )


def paint(people, options, *, skeleton=PAIR, place=PLACE, attention=None) -> QImage:
    image = QImage(400, 300, QImage.Format.Format_RGB32)
    image.fill(GROUND)
    with QPainter(image) as painter:
        paint_people(painter, people, skeleton, options, place, attention=attention)
    return image


def distance(image: QImage, x: float, y: float, colour: QColor) -> int:
    pixel = image.pixelColor(round(x), round(y))
    return max(abs(a - b) for a, b in zip(pixel.getRgb()[:3], colour.getRgb()[:3]))


def differing(first: QImage, second: QImage) -> np.ndarray:
    """(M, 2) x, y of the pixels that differ."""
    pixels = [np.frombuffer(image.constBits(), np.uint32).reshape(300, 400) for image in (first, second)]
    return np.argwhere(pixels[0] != pixels[1])[:, ::-1]


EMPTY = BARE


def test_nothing_is_painted_where_nothing_is_asked_for():
    assert not differing(paint([make_person()], BARE), paint([], BARE)).size


def test_limbs_have_the_persons_colour_and_a_dark_outline():
    person = make_person(2)
    image = paint([person], replace(BARE, limbs=True))
    assert distance(image, 100, 150, person_colour(2, "colour-blind")) < 8
    row = [image.pixelColor(x, 150).lightness() for x in range(90, 110)]
    assert min(row) < 50


def test_the_colour_blind_palette_is_that_of_annotated_videos():
    for track_id in range(10):
        blue, green, red = track_colour(track_id)
        assert person_colour(track_id, "colour-blind").getRgb()[:3] == (red, green, blue)


@pytest.mark.parametrize("palette", ["vivid", "high-contrast"])
def test_another_palette_paints_other_colours(palette):
    image = paint([make_person(2)], replace(BARE, limbs=True, palette=palette))
    assert distance(image, 100, 150, person_colour(2, palette)) < 8
    assert person_colour(2, palette) != person_colour(2, "colour-blind")


def test_measured_keypoints_are_filled_and_predicted_ones_hollow():
    options = replace(BARE, keypoints=True, line_scale=3.0)
    tint = lighter(person_colour(1, "colour-blind"))
    filled = paint([make_person()], options)
    hollow = paint([make_person(state=KeypointState.PREDICTED)], options)
    assert distance(filled, 100, 100, tint) < 8
    assert hollow.pixelColor(100, 100).lightness() < 70
    ring = [distance(hollow, 100 + x, 100, tint) for x in range(1, 14)]
    assert min(ring) < 100


def test_missing_keypoints_and_their_limbs_are_not_painted():
    options = replace(BARE, limbs=True, keypoints=True)
    missing = make_person(state=KeypointState.MISSING)
    assert not differing(paint([missing], options), paint([], options)).size


def test_low_scores_fade():
    options = replace(BARE, limbs=True)
    colour = person_colour(1, "colour-blind")
    sure, unsure = (distance(paint([make_person(score=s)], options), 100, 150, colour) for s in (0.5, 0.1))
    assert sure < 8
    assert unsure > 40


def test_widths_grow_with_the_person_in_the_view():
    wide = replace(PLACE, scale=2.0, left=-100.0, top=-150.0)
    rows = []
    for place in (PLACE, wide):
        image = paint([make_person()], replace(BARE, limbs=True), place=place)
        rows.append(sum(image.pixelColor(x, 150) != GROUND for x in range(400)))
    assert rows[1] > rows[0] >= 3


def test_boxes_lie_on_the_box():
    image = paint([make_person()], replace(BARE, boxes=True))
    colour = person_colour(1, "colour-blind")
    touched = differing(image, paint([], EMPTY))
    assert touched.min(axis=0) == pytest.approx([40.5, 60.5], abs=4)
    assert touched.max(axis=0) == pytest.approx([160.5, 240.5], abs=4)
    assert min(distance(image, x, 150, colour) for x in range(37, 44)) < 8


def test_a_plate_stands_above_the_box_and_a_name_makes_it_wider():
    widths = []
    for names in ({}, {1: "Anna"}):
        image = paint([make_person()], replace(BARE, ids=True), attention=Attention(names=names))
        touched = differing(image, paint([], EMPTY))
        assert touched[:, 1].max() < 62
        widths.append(np.ptp(touched[:, 0]))
    assert widths[1] > widths[0] + 20


def test_plates_of_two_people_do_not_cover_each_other():
    people = [make_person(1, x=150), make_person(2, x=155)]
    image = paint(people, replace(BARE, ids=True))
    pixels = [image.pixelColor(x, y).getRgb()[:3] for y in range(62) for x in range(400)]
    counts = [pixels.count(person_colour(track, "colour-blind").getRgb()[:3]) for track in (1, 2)]
    alone = paint(people[:1], replace(BARE, ids=True))
    whole = [alone.pixelColor(x, y).getRgb()[:3] for y in range(62) for x in range(400)]
    expected = whole.count(person_colour(1, "colour-blind").getRgb()[:3])
    assert min(counts) > 0.9 * expected


def test_a_plate_stays_inside_the_frame():
    person = make_person(x=20)
    person = replace(person, bbox=np.array([-40, 2, 80, 240], np.float32))
    touched = differing(paint([person], replace(BARE, ids=True)), paint([], EMPTY))
    assert touched.size
    assert touched.min() >= 1


def test_raw_keypoints_are_tied_to_the_smoothed_ones():
    touched = differing(paint([make_person()], replace(BARE, raw=True)), paint([], EMPTY))
    assert touched[:, 0].max() > 140
    assert ((touched[:, 0] == 120) & (abs(touched[:, 1] - 100) < 2)).any()


def test_unseen_people_have_no_raw_keypoints():
    person = replace(make_person(), raw_keypoints=np.full((2, 2), np.nan, np.float32))
    options = replace(BARE, raw=True)
    assert not differing(paint([person], options), paint([], options)).size


def test_ignored_people_are_not_painted():
    options = OverlayOptions(boxes=True)
    ignored = paint([make_person(3)], options, attention=Attention(ignored=frozenset({3})))
    assert not differing(ignored, paint([], options)).size


def test_others_are_dimmed_while_one_is_followed():
    people = [make_person(1, x=100), make_person(2, x=300)]
    image = paint(people, replace(BARE, limbs=True), attention=Attention(followed=2))
    assert distance(image, 100, 150, person_colour(1, "colour-blind")) > 40
    assert distance(image, 300, 150, person_colour(2, "colour-blind")) < 8
    assert image.pixelColor(240, 60) != GROUND, "the followed box has corners"


def test_who_is_pointed_at_lights_up():
    image = paint([make_person()], BARE, attention=Attention(hovered=1))
    assert image.pixelColor(60, 200) != GROUND


def test_people_of_another_skeleton_are_refused():
    with pytest.raises(ValueError, match=r"\(17, 2\) for skeleton 'coco17', got \(2, 2\)"):
        paint([make_person()], BARE, skeleton=COCO17)


def test_angles_are_painted_at_joints_whose_keypoints_are_known():
    keypoints = np.full((17, 2), np.nan, np.float32)
    keypoints[[5, 7, 9]] = [[100, 60], [100, 150], [190, 150]]
    person = TrackedPerson(
        track_id=1,
        keypoints=keypoints,
        raw_keypoints=keypoints,
        velocity=np.zeros((17, 2), np.float32),
        scores=np.ones(17, np.float32),
        state=np.where(np.isfinite(keypoints[:, 0]), 2, 0).astype(np.int8),
        bbox=np.array([60, 40, 200, 260], np.float32),
        score=1.0,
        age_s=1.0,
    )
    touched = differing(
        paint([person], replace(BARE, angles=True), skeleton=COCO17), paint([], EMPTY, skeleton=COCO17)
    )
    assert touched.size
    assert np.hypot(*(touched - (100, 150)).T).max() < 80
    small = replace(person, bbox=np.array([60, 40, 90, 80], np.float32))
    crowded = paint([small], replace(BARE, angles=True), skeleton=COCO17)
    assert not differing(crowded, paint([], EMPTY, skeleton=COCO17)).size


def test_trails_fade_with_age_and_leave_out_the_ignored():
    points = np.stack([np.linspace(20, 380, 40), np.full(40, 100)], 1).astype(np.float32)
    paths = {1: [(points, np.linspace(0.99, 0, 40).astype(np.float32))]}
    images = []
    for ignored in (frozenset(), frozenset({1})):
        image = QImage(400, 300, QImage.Format.Format_RGB32)
        image.fill(GROUND)
        with QPainter(image) as painter:
            paint_trails(
                painter, paths, OverlayOptions(trails=True), PLACE, attention=Attention(ignored=ignored)
            )
        images.append(image)
    colour = person_colour(1, "colour-blind")
    new, old = (min(distance(images[0], x, y, colour) for y in (99, 100, 101)) for x in (370, 40))
    assert new < 40 < old
    assert not differing(images[1], paint([], EMPTY)).size


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_heatmap_lies_over_the_whole_frame_and_is_clear_where_nothing_is(mirrored):
    heatmap = np.zeros((30, 40), np.float32)
    heatmap[5:10, 30:35] = 1.0
    image = QImage(400, 300, QImage.Format.Format_RGB32)
    image.fill(GROUND)
    with QPainter(image) as painter:
        paint_heatmap(painter, heatmap, replace(PLACE, mirrored=mirrored))
    hot = 400 - 325 if mirrored else 325
    assert image.pixelColor(hot, 75).red() > 200
    assert image.pixelColor(400 - hot, 75) == GROUND
