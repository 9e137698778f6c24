import numpy as np
import pytest

from engine.decode.published import adjust_people, parse_people, quarter_shift, refine_person

CASES = ["one", "three", "three_flip"]
VARIANTS = {
    "no_detection_val": {"use_scores": False},
    "ignore_too_much_max2": {"ignore_too_much": True, "max_people": 2},
    "max2": {"max_people": 2},
    "nms3": {"nms_kernel": 3},
    "thr03": {"min_peak_score": 0.3},
    "tagthr05": {"tag_threshold": 0.5},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("adjust", [0, 1])
@pytest.mark.parametrize("refine", [0, 1])
def test_people_and_scores_are_the_reference_ones(case, adjust, refine, vectors):
    content = vectors(f"higher_parser_{case}")
    people, scores = parse_people(
        content["det"][0], content["tag"][0], adjust=bool(adjust), refine=bool(refine)
    )
    name = f"parse_adjust{adjust}_refine{refine}"
    np.testing.assert_allclose(people, content[name], atol=1e-5)
    np.testing.assert_allclose(scores, content[f"{name}_scores"], atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_options_do_what_they_do_in_the_reference(case, variant, vectors):
    content = vectors(f"higher_parser_{case}")
    people, scores = parse_people(content["det"][0], content["tag"][0], **VARIANTS[variant])
    if not content[f"variant_{variant}_unique"]:
        assert len(people) >= 2
        return
    np.testing.assert_allclose(people, content[f"variant_{variant}"], atol=1e-5)
    np.testing.assert_allclose(scores, content[f"variant_{variant}_scores"], atol=1e-5)


@pytest.mark.parametrize("case", ["three", "three_flip"])
def test_one_tag_map_for_all_keypoints_gives_the_people_of_the_reference(case, vectors):
    content = vectors(f"higher_parser_{case}")
    people, scores = parse_people(content["det"][0], content["shared_tag"][0])
    np.testing.assert_allclose(people, content["shared_parse"], atol=1e-5)
    np.testing.assert_allclose(scores, content["shared_parse_scores"], atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_quarter_shift_alone_is_the_reference_one(case, vectors):
    content = vectors(f"higher_parser_{case}")
    matched = content["match"].copy()
    np.testing.assert_allclose(adjust_people(matched, content["det"][0]), content["adjust"], atol=1e-5)
    np.testing.assert_array_equal(matched, content["match"])


@pytest.mark.parametrize("case", CASES)
def test_filling_the_gaps_of_one_person_is_the_reference_one(case, vectors):
    content = vectors(f"higher_parser_{case}")
    filled = refine_person(content["refine_first_person_in"], content["det"][0], content["tag"][0])
    np.testing.assert_allclose(filled, content["refine_first_person_out"], atol=1e-5)


def test_ties_go_to_the_lower_side_and_borders_are_their_own_neighbours():
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, 0, 0] = maps[0, 4, 4] = maps[0, 7, 7] = 1
    places = np.array([[0, 0], [4, 4], [7, 7]])
    shift = quarter_shift(maps, np.zeros(3, int), places)
    # At the origin the px itself is the left neighbour and higher than the right one.
    np.testing.assert_array_equal(shift, [[0.25, 0.25], [0.25, 0.25], [0.75, 0.75]])


def test_maps_without_peaks_hold_nobody():
    people, scores = parse_people(np.zeros((17, 32, 32), np.float32), np.zeros((17, 32, 32), np.float32))
    assert people.shape == (0, 17, 4) and scores.shape == (0,)
