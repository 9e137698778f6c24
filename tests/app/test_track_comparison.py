from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.track_comparison import Comparison, canonical, common_skeleton, compare_tracks
from app.truth import TruePerson
from app.truth_files import open_truth
from app.truth_sequence import TruthSequence
from engine.errors import SourceError
from engine.metrics.motion import motion_figures
from engine.sinks.results_file import ResultsFile
from engine.skeleton import COCO17, CROWDPOSE14, POSETRACK17, Skeleton

Write = Callable[..., Path]
PAIR = {1: 300.0, 2: 700.0}
STRANGE = Skeleton(
    name="mouse", keypoints=("snout", "ear", "tail"), limbs=(), flip_pairs=(), oks_sigmas=(0.1, 0.1, 0.1)
)


@pytest.fixture
def compare(tmp_path: Path, write_stands: Write) -> Callable[..., Comparison]:
    """Function that writes results and truth and compares them."""

    def run(frames: list[dict[int, float]], truth: list[dict[int, float]], **options: object) -> Comparison:
        results = ResultsFile.open(write_stands(tmp_path / "r" / "clip.csv", frames, raw=True))
        (true,) = open_truth(write_stands(tmp_path / "t" / "clip.csv", truth))
        return compare_tracks(results, true, **options)

    return run


@pytest.mark.parametrize("measure", ["oks", "iou"])
def test_results_equal_to_the_truth_are_perfect(compare: Callable[..., Comparison], measure: str):
    found = compare([PAIR] * 6, [PAIR] * 6, measure=measure)
    figures, motion = found.mot.figures(), motion_figures([found.motion.paths()])
    assert (figures.hota, figures.deta, figures.assa, figures.mota, figures.idf1) == pytest.approx((1,) * 5)
    assert (figures.frames, figures.truths, figures.switches, figures.fragmentations) == (6, 12, 0, 0)
    assert motion.error_px == motion.jitter_px == 0
    assert motion.raw_error_px == pytest.approx(np.sqrt(2), abs=1e-3)
    assert found.warnings == ()


def test_swapped_ids_are_two_switches(compare: Callable[..., Comparison]):
    swapped = {2: 300.0, 1: 700.0}
    figures = compare([PAIR] * 5 + [swapped] * 5, [PAIR] * 10).mot.figures()
    assert (figures.switches, figures.mota) == (2, pytest.approx(0.9))
    assert figures.idf1 == pytest.approx(0.5)
    assert (figures.deta, figures.assa) == pytest.approx((1, 1 / 3))


def test_frames_without_rows_are_judged_too(compare: Callable[..., Comparison]):
    figures = compare([PAIR, {}, PAIR, {}], [PAIR, PAIR, {}, {}]).mot.figures()
    assert (figures.frames, figures.truths, figures.misses, figures.false_positives) == (4, 4, 2, 2)


def test_frames_that_only_one_has_are_told_and_left_out(compare: Callable[..., Comparison]):
    found = compare([PAIR] * 4, [PAIR] * 6)
    assert found.mot.figures().frames == 4 and found.mot.figures().mota == 1
    (line,) = found.warnings
    assert "has the frames 0 to 3" in line and "the frames 0 to 5; the 4 labelled ones" in line


def test_a_truth_that_counts_from_one_is_shifted(tmp_path: Path, write_stands: Write):
    results = ResultsFile.open(write_stands(tmp_path / "r" / "clip.csv", [PAIR, {1: 300.0}]))
    (true,) = open_truth(write_stands(tmp_path / "t" / "clip.csv", [{}, PAIR, {1: 300.0}]))
    assert compare_tracks(results, true, first_frame=1).mot.figures().mota == 1
    assert compare_tracks(results, true).mot.figures().mota < 1


def test_no_frame_in_common_is_an_error(compare: Callable[..., Comparison]):
    with pytest.raises(
        SourceError, match=r"frames 0 to 1, .* labels the frames 0 to 2, counted from 9: none"
    ):
        compare([PAIR] * 2, [PAIR] * 3, first_frame=9)


def test_other_skeletons_are_compared_by_the_names_both_have(tmp_path: Path, write_stands: Write):
    common, true_places, places = common_skeleton(POSETRACK17, CROWDPOSE14)
    assert common.keypoints[0] == "head_bottom" and CROWDPOSE14.keypoints[places[0]] == "neck"
    assert common.count == len(true_places) == 14
    results = ResultsFile.open(write_stands(tmp_path / "r.csv", [PAIR] * 3, skeleton=CROWDPOSE14))
    (true,) = open_truth(write_stands(tmp_path / "t.csv", [PAIR] * 3))
    found = compare_tracks(results, true)
    assert len(found.keypoints) == 12
    assert "12 keypoints are compared; only the truth has nose" in found.warnings[0]
    assert "only" in found.warnings[1] and "head_top, neck" in found.warnings[1]


def test_skeletons_without_common_keypoints_can_be_compared_by_boxes_only(
    tmp_path: Path, write_stands: Write
):
    results = ResultsFile.open(write_stands(tmp_path / "r.csv", [PAIR] * 3, skeleton=STRANGE))
    (true,) = open_truth(write_stands(tmp_path / "t.csv", [PAIR] * 3))
    with pytest.raises(SourceError, match=r"0 keypoints have the same name .* --similarity iou"):
        compare_tracks(results, true)
    assert compare_tracks(results, true, measure="iou").mot.figures().idf1 == 1


def test_strangers_where_nothing_was_labelled_are_no_false_positives(tmp_path: Path, write_stands: Write):
    results = ResultsFile.open(write_stands(tmp_path / "r.csv", [PAIR] * 3))
    (true,) = open_truth(write_stands(tmp_path / "t.csv", [{1: 300.0}] * 3))
    outline = np.array([[550, 0], [900, 0], [900, 720], [550, 720]], np.float32)
    left_out = TruthSequence(
        true.name,
        true.path,
        true.skeleton,
        true.people,
        true.judged,
        true.extent,
        {0: [outline], 1: [outline]},
    )
    assert compare_tracks(results, true).mot.figures().false_positives == 3
    assert compare_tracks(results, left_out).mot.figures().false_positives == 1


def test_who_cannot_be_seen_is_no_miss(tmp_path: Path, write_stands: Write):
    results = ResultsFile.open(write_stands(tmp_path / "r.csv", [{1: 300.0}] * 3))
    (true,) = open_truth(write_stands(tmp_path / "t.csv", [PAIR] * 3))
    hidden = {
        frame: [TruePerson(p.track_id, p.keypoints, p.visibility - 1, p.bbox) for p in people]
        for frame, people in true.people.items()
    }
    truth = TruthSequence("clip", true.path, COCO17, hidden, true.judged, true.extent, min_visible=5)
    figures = compare_tracks(results, truth).mot.figures()
    assert (figures.truths, figures.matches, figures.misses) == (3, 3, 0)


@pytest.mark.parametrize("name", ["LeftHip", "left hip", "Left-Hip", "left_hip"])
def test_spelling_makes_no_difference(name: str):
    assert canonical(name) == "left_hip"
