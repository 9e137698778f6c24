from pathlib import Path

import numpy as np
import pytest

from app.demo import match_text
from app.truth import TruePerson, TruthMatcher
from app.truth_files import read_truth
from assets import demo_truth
from engine.errors import SourceError
from engine.skeleton import COCO17, CROWDPOSE14
from engine.structures import KeypointState, TrackedPerson

SHAPE = np.random.default_rng(1).random((17, 2), np.float32) * np.array([80, 200], np.float32)


def true_person(number: int, x: float, visibility: int = 2) -> TruePerson:
    keypoints = SHAPE + np.array([x, 50], np.float32)
    box = np.array([x, 50, x + 80, 250], np.float32)
    return TruePerson(number, keypoints, np.full(17, visibility), box)


def tracked(number: int, x: float) -> TrackedPerson:
    true = true_person(number, x)
    return TrackedPerson(
        track_id=number,
        keypoints=true.keypoints,
        raw_keypoints=true.keypoints,
        velocity=np.zeros((17, 2), np.float32),
        scores=np.ones(17, np.float32),
        state=np.full(17, KeypointState.MEASURED, np.int8),
        bbox=true.bbox,
        score=1.0,
        age_s=1.0,
    )


def matcher_of(frames: list[list[TruePerson]]) -> TruthMatcher:
    return TruthMatcher(dict(enumerate(frames)), COCO17)


def test_people_where_they_should_be_are_all_found_without_error():
    matcher = matcher_of([[true_person(1, 0), true_person(2, 300)]] * 3)
    for frame in range(3):
        matched = matcher.add(frame, [tracked(7, 300), tracked(5, 3)])
        assert {true: person.track_id for true, person in matched.items()} == {1: 5, 2: 7}
    match = matcher.match()
    assert (match.people, match.countable, match.found, match.extra, match.switches) == (2, 6, 6, 0, 0)
    assert match.recall == 1.0 and match.error_px == pytest.approx(1.5)


def test_a_changed_id_is_a_switch_also_after_a_gap():
    matcher = matcher_of([[true_person(1, 0)]] * 4)
    for frame, people in enumerate([[tracked(1, 0)], [tracked(2, 0)], [], [tracked(1, 0)]]):
        matcher.add(frame, people)
    match = matcher.match()
    assert (match.switches, match.found, match.countable) == (2, 3, 4)


def test_a_pair_stays_together_while_it_fits_even_if_another_fits_better():
    matcher = matcher_of([[true_person(1, 0)]] * 2)
    matcher.add(0, [tracked(1, 0)])
    matched = matcher.add(1, [tracked(2, 0), tracked(1, 4)])
    assert matched[1].track_id == 1
    assert (matcher.match().switches, matcher.match().extra) == (0, 1)


def test_somebody_far_away_is_extra_and_a_miss():
    matcher = matcher_of([[true_person(1, 0)]])
    matcher.add(0, [tracked(1, 400)])
    match = matcher.match()
    assert (match.found, match.extra, match.recall) == (0, 1, 0.0)
    assert np.isnan(match.error_px)


def test_who_is_hidden_is_no_miss_and_no_extra():
    hidden = true_person(1, 0, visibility=1)
    matcher = matcher_of([[hidden], [hidden]])
    matcher.add(0, [])
    matcher.add(1, [tracked(1, 0)])
    match = matcher.match()
    assert (match.people, match.countable, match.extra) == (0, 0, 0)


def test_the_bundled_truth_is_read_whole():
    truth = read_truth(demo_truth(), COCO17)
    assert sorted(truth) == list(range(len(truth))) and len(truth) > 100
    people = [person for frame in truth.values() for person in frame]
    assert {person.keypoints.shape for person in people} == {(17, 2)}
    assert len({person.track_id for person in people}) >= 2
    assert sum(person.countable for person in people) > len(people) / 2


def test_a_truth_that_is_missing_or_of_another_skeleton_is_told(tmp_path: Path):
    with pytest.raises(SourceError, match="missing"):
        read_truth(tmp_path / "none.csv", COCO17)
    with pytest.raises(SourceError, match="head_top"):
        read_truth(demo_truth(), CROWDPOSE14)


@pytest.mark.parametrize(
    ("switches", "words"), [(0, "no identity switch"), (1, "1 identity switch."), (2, "2 id")]
)
def test_the_match_is_told_in_words(switches: int, words: str):
    matcher = matcher_of([[true_person(1, 0)]] * 4)
    for frame in range(4):
        matcher.add(frame, [tracked(1 + frame * (frame <= switches) + switches * (frame > switches), 0)])
    text = match_text(matcher.match())
    assert words in text and "100.0 % of them found" in text
