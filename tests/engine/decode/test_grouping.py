import cv2
import numpy as np
import pytest

from engine.decode.grouping import Peaks, find_peaks, group_peaks, grouping_order
from engine.errors import ModelFileError

PARSER_CASES = ["one", "three", "three_flip"]


def reference_peaks(content: dict[str, np.ndarray], case: int) -> Peaks:
    return Peaks(
        content[f"case{case}_loc_k"].astype(np.float32),
        content[f"case{case}_val_k"],
        content[f"case{case}_tag_k"],
    )


def make_peaks(*keypoints: list[tuple[float, float]]) -> Peaks:
    """Peaks from lists of (tag, score), one list per keypoint; a peak's x is its number."""
    places = max(len(entries) for entries in keypoints)
    peaks = Peaks(
        np.zeros((len(keypoints), places, 2), np.float32),
        np.zeros((len(keypoints), places), np.float32),
        np.zeros((len(keypoints), places, 1), np.float32),
    )
    for keypoint, entries in enumerate(keypoints):
        for place, (tag, score) in enumerate(entries):
            peaks.positions[keypoint, place] = (place, keypoint)
            peaks.scores[keypoint, place] = score
            peaks.tags[keypoint, place] = tag
    return peaks


@pytest.mark.parametrize("case", range(8))
@pytest.mark.parametrize("ignore_too_much", [0, 1])
@pytest.mark.parametrize("use_scores", [0, 1])
def test_groups_are_the_reference_ones_wherever_those_are_unique(case, ignore_too_much, use_scores, vectors):
    content = vectors("higher_match_by_tag")
    name = f"case{case}_ignore{ignore_too_much}_detval{use_scores}"
    people = group_peaks(
        reference_peaks(content, case),
        max_people=6,
        use_scores=bool(use_scores),
        ignore_too_much=bool(ignore_too_much),
    )
    assert people.dtype == np.float32
    if content[f"{name}_unique"]:
        np.testing.assert_allclose(people, content[name], atol=1e-6)
    else:  # every peak is in some person all the same
        peaks = reference_peaks(content, case)
        assert ignore_too_much or (people[..., 2] > 0).sum() == (peaks.scores > 0.1).sum()


@pytest.mark.parametrize("case", PARSER_CASES)
def test_peaks_are_the_reference_ones(case, vectors):
    content = vectors(f"higher_parser_{case}")
    peaks = find_peaks(content["det"][0], content["tag"][0])
    used = peaks.scores > 0
    assert used.sum() == (content["topk_val"] > 0.1).sum()
    places = peaks.scores.shape[1]
    for ours, theirs in (
        (peaks.scores, content["topk_val"]),
        (peaks.positions, content["topk_loc"]),
        (peaks.tags, content["topk_tag"]),
    ):
        np.testing.assert_allclose(ours[used], theirs[0, :, :places][used], atol=1e-5)


@pytest.mark.parametrize("case", PARSER_CASES)
def test_suppression_keeps_the_maxima_of_the_reference(case, vectors):
    content = vectors(f"higher_parser_{case}")
    maps = content["det"][0]
    peaks = find_peaks(maps, content["tag"][0], min_peak_score=-np.inf, max_people=maps[0].size)
    kept = np.zeros_like(maps)
    keypoint, place = np.nonzero(peaks.scores)
    x, y = peaks.positions[keypoint, place].astype(int).T
    kept[keypoint, y, x] = peaks.scores[keypoint, place]
    expected = np.zeros_like(maps)
    _, keypoint, y, x = content["nms_nonzero_index"].T
    expected[keypoint, y, x] = content["nms_nonzero_value"]
    np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize("case", PARSER_CASES)
def test_peaks_and_groups_together_are_the_reference_ones(case, vectors):
    content = vectors(f"higher_parser_{case}")
    people = group_peaks(find_peaks(content["det"][0], content["tag"][0]))
    np.testing.assert_allclose(people, content["match"], atol=1e-5)


@pytest.mark.parametrize("length", [None, 1, 2])
def test_coarse_tags_read_at_the_peaks_equal_tags_upsampled_whole(length, gaussians):
    rng = np.random.default_rng(3)
    maps = gaussians(rng.uniform(0, 63, (5, 2)), (64, 64))
    shape = (5, 32, 32) if length is None else (5, 32, 32, length)
    coarse = rng.normal(size=shape).astype(np.float32)
    fine = np.stack([cv2.resize(tag, (64, 64), interpolation=cv2.INTER_LINEAR) for tag in coarse])
    fine = fine.reshape(5, 64, 64, -1)
    ours, whole = find_peaks(maps, coarse), find_peaks(maps, fine)
    assert (whole.scores > 0).sum() == 5
    np.testing.assert_allclose(ours.tags, whole.tags, atol=1e-5)


def test_one_tag_map_may_serve_all_keypoints(gaussians):
    maps = gaussians(np.array([[10.0, 12.0], [30.0, 20.0]]), (40, 48))
    tags = np.arange(40 * 48, dtype=np.float32).reshape(1, 40, 48)
    peaks = find_peaks(maps, tags)
    assert peaks.tags[:, 0, 0].tolist() == [12 * 48 + 10, 20 * 48 + 30]


def test_a_flat_top_gives_one_peak_or_all_its_pixels():
    maps = np.zeros((1, 16, 16), np.float32)
    maps[0, 4:6, 7:9] = 0.8
    maps[0, 12, 15] = 0.5
    one = find_peaks(maps, maps, keep_plateaus=False)
    assert one.positions[0].tolist() == [[7, 4], [15, 12]]
    assert (find_peaks(maps, maps).scores > 0).sum() == 5


def test_px_at_opposite_sides_are_no_flat_top_though_neighbours_in_memory():
    maps = np.zeros((2, 16, 16), np.float32)
    places = [(0, 0, 0), (0, 4, 15), (0, 5, 0), (0, 15, 15), (1, 0, 0)]
    maps[tuple(np.transpose(places))] = 0.5
    assert (find_peaks(maps, maps, keep_plateaus=False).scores > 0).sum() == len(places)


def test_the_strongest_peaks_are_kept_in_order():
    maps = np.zeros((2, 32, 32), np.float32)
    maps[0, 4, 4], maps[0, 4, 20], maps[0, 20, 4], maps[1, 3, 3] = 0.3, 0.9, 0.6, 0.2
    peaks = find_peaks(maps, maps, max_people=2)
    np.testing.assert_array_equal(peaks.scores, np.array([[0.9, 0.6], [0.2, 0]], np.float32))
    assert peaks.positions[0].tolist() == [[20, 4], [4, 20]]


def test_of_two_peaks_within_the_kernel_the_higher_stays():
    maps = np.zeros((1, 16, 16), np.float32)
    maps[0, 8, 6], maps[0, 8, 8] = 0.5, 0.6
    assert (find_peaks(maps, maps, nms_kernel=5).scores > 0).sum() == 1
    assert (find_peaks(maps, maps, nms_kernel=3).scores > 0).sum() == 2


def test_empty_maps_give_no_peaks_and_nobody():
    peaks = find_peaks(np.zeros((17, 32, 32), np.float32), np.zeros((17, 16, 16), np.float32))
    assert peaks.scores.shape == (17, 0)
    assert group_peaks(peaks).shape == (0, 17, 4)


def test_maps_and_tags_with_nan_are_refused():
    maps, tags = np.zeros((2, 8, 8), np.float32), np.zeros((2, 8, 8), np.float32)
    maps[1, 3, 3], tags[1, 3, 3] = 0.5, np.nan
    with pytest.raises(ModelFileError, match="tags hold NaN"):
        find_peaks(maps, tags)
    maps[1, 3, 3] = np.nan
    with pytest.raises(ModelFileError, match="heatmap of keypoint 1 holds NaN"):
        find_peaks(maps, np.zeros_like(tags))


@pytest.mark.parametrize(("maps", "tags"), [((2, 8, 8), (3, 8, 8)), ((2, 8), (2, 8, 8)), ((2, 8, 8), (2, 8))])
def test_shapes_that_do_not_fit_are_refused(maps, tags):
    with pytest.raises(ValueError, match=r"heatmaps must be \(K, H, W\)"):
        find_peaks(np.zeros(maps), np.zeros(tags))


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="nms_kernel must be odd and positive, got 4"):
        find_peaks(np.zeros((2, 8, 8)), np.zeros((2, 8, 8)), nms_kernel=4)


def test_a_peak_joins_the_person_with_the_nearest_tag_or_founds_one():
    people = group_peaks(make_peaks([(0, 0.9), (5, 0.8)], [(5.3, 0.7), (0.2, 0.6), (9, 0.5)]))
    assert people.shape == (3, 2, 4)
    np.testing.assert_allclose(people[..., 3], [[0, 0.2], [5, 5.3], [0, 9]])
    assert people[2, 0].tolist() == [0, 0, 0, 0]


def test_a_persons_tag_is_the_mean_of_its_keypoints():
    # The third tag is 1.2 from the first and 0.6 from the mean.
    people = group_peaks(make_peaks([(0, 0.9)], [(0.9, 0.9)], [(1.2, 0.9)]))
    assert people.shape[0] == 1


def test_of_two_peaks_equally_near_the_stronger_joins():
    people = group_peaks(make_peaks([(0, 0.9)], [(0.3, 0.4), (0.1, 0.7)]))
    np.testing.assert_allclose(people[0, 1, 2], 0.7)


def test_pairings_of_equal_cost_go_to_the_nearer_tags():
    # All four distances round to 0, so the published cost cannot tell the two pairings apart.
    people = group_peaks(make_peaks([(0, 0.9), (0.4, 0.9)], [(0.39, 0.5), (0.01, 0.5)]))
    np.testing.assert_allclose(people[..., 3], [[0, 0.01], [0.4, 0.39]], atol=1e-6)


def test_the_gate_keeps_a_false_peak_from_tearing_a_true_one_away():
    peaks = make_peaks([(0, 0.9), (3.3, 0.9)], [(0.01, 0.9), (-3.3, 0.3)])
    torn, gated = group_peaks(peaks), group_peaks(peaks, gate=True)
    # Published: crossed over the distances round to 3 + 3, straight to 0 + 7; then both are refused.
    assert torn[0, 1, 2] == 0
    np.testing.assert_allclose(gated[0, :, 3], [0, 0.01])
    assert len(gated) == 3


def test_a_limit_on_people_limits_who_is_matched_not_who_comes_out():
    peaks = make_peaks([(0, 0.9), (5, 0.8)], [(5.1, 0.7), (0, 0.6)])
    # The second person is not among those matched, so its keypoint founds a third.
    assert len(group_peaks(peaks, max_people=1)) == 3
    ignored = group_peaks(peaks, max_people=2, ignore_too_much=True)
    assert (ignored[:, 1, 2] == 0).all()


def test_weak_peaks_are_passed_over():
    assert len(group_peaks(make_peaks([(0, 0.9), (5, 0.1)]))) == 1
    assert len(group_peaks(make_peaks([(0, 0.9), (5, 0.1)]), min_peak_score=0.05)) == 2


def test_a_new_person_with_the_very_tag_of_another_takes_its_place():
    people = group_peaks(make_peaks([(2, 0.9), (2, 0.8)]))
    assert len(people) == 1 and people[0, 0, 2] == np.float32(0.8)


def test_the_order_of_keypoints_is_the_published_one():
    assert grouping_order(17) == (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
    assert grouping_order(14) == (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13)
    assert grouping_order(19)[17:] == (17, 18)
    assert sorted(grouping_order(16)) == list(range(16))


def test_another_order_founds_people_on_other_keypoints():
    peaks = make_peaks([(0, 0.9)], [(7, 0.9)])
    assert group_peaks(peaks)[0, 0, 2] > 0
    assert group_peaks(peaks, order=(1, 0))[0, 1, 2] > 0
