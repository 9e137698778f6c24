import numpy as np
import pytest

from engine.decode.bottom_up import (
    assemble_people,
    decode_bottom_up,
    fill_gaps,
    known_places,
    merge_heatmaps,
    score_people,
    stack_tags,
)
from engine.decode.grouping import Peaks, find_peaks
from engine.decode.peaks import refine_peaks
from engine.decode.published import parse_people
from engine.errors import ModelFileError
from engine.geometry import heatmap_to_input, letterbox_matrix, transform_points

IDENTITY = np.eye(3)[:2]


def scatter(count: int, seed: int = 0, keypoints: int = 17) -> np.ndarray:
    """(count, keypoints, 2) input px: people side by side in 256 × 256, keypoints far from each other."""
    rng = np.random.default_rng(seed)
    columns = int(np.ceil(np.sqrt(count)))
    cell = 256 / columns
    corners = np.array([(i % columns, i // columns) for i in range(count)])[:, None] * cell
    return corners + rng.uniform(0.2, 0.8, (count, keypoints, 2)) * cell


def in_order_of(people: list, truth: np.ndarray) -> list:
    """The people nearest to each of the true ones."""
    return [min(people, key=lambda person: np.abs(person.keypoints - points).max()) for points in truth]


@pytest.mark.parametrize("count", [1, 4, 9])
@pytest.mark.parametrize("decoder", ["dark", "udp"])
def test_everybody_is_found_with_sub_pixel_keypoints_in_the_frame(count, decoder, make_spec, make_crowd):
    truth = scatter(count)
    crowd = make_crowd(truth)
    matrix = letterbox_matrix((720, 700), crowd.input_size)
    people = decode_bottom_up(
        crowd.outputs, matrix, crowd.input_size, make_spec("bottom-up", decoder=decoder)
    )
    assert len(people) == count
    for person, points in zip(in_order_of([_to_input(person, matrix) for person in people], truth), truth):
        # 0.2 px of the finest heatmap: both resolutions paint sigma 2, of which the sum is no Gaussian.
        np.testing.assert_allclose(person.keypoints, points, atol=0.4)
    for person in people:
        assert person.keypoints.dtype == person.scores.dtype == person.bbox.dtype == np.float32
        assert isinstance(person.score, float) and 0.7 < person.score <= 1
        assert (person.bbox[:2] < person.keypoints.min(axis=0)).all()
        assert (person.bbox[2:] > person.keypoints.max(axis=0)).all()


class _Moved:
    def __init__(self, keypoints: np.ndarray) -> None:
        self.keypoints = keypoints


def _to_input(person, matrix: np.ndarray) -> _Moved:
    return _Moved(transform_points(matrix, person.keypoints))


def test_the_published_model_is_decoded_as_published(make_spec, vectors):
    content = vectors("higher_parser_three")
    maps, tags = content["det"], content["tag"][..., 0]
    spec = make_spec(
        "bottom-up",
        convention="hrnet",
        decoder="quarter",
        heatmap_outputs=[{"name": "heatmaps_1", "stride": 2}],
    )
    people = decode_bottom_up({"heatmaps_1": maps, "tags_0": tags}, IDENTITY, (128, 192), spec)
    expected, _ = parse_people(maps[0], tags[0], refine=False)
    assert len(people) == len(expected) == 3
    points = heatmap_to_input(expected[..., :2], (64, 96), (128, 192), "hrnet")
    for person, reference in zip(in_order_of(people, points), points):
        np.testing.assert_allclose(person.keypoints, reference, atol=1e-4)


@pytest.mark.parametrize("decoder", ["argmax", "quarter", "dark", "udp"])
def test_every_decoder_stays_within_its_error(decoder, make_spec, make_crowd):
    truth = scatter(2)
    crowd = make_crowd(truth)
    people = decode_bottom_up(
        crowd.outputs, IDENTITY, crowd.input_size, make_spec("bottom-up", decoder=decoder)
    )
    tolerance = {"argmax": 1.1, "quarter": 0.6, "dark": 0.4, "udp": 0.4}[decoder]
    for person, points in zip(in_order_of(people, truth), truth):
        np.testing.assert_allclose(person.keypoints, points, atol=tolerance)


def test_a_missing_keypoint_has_score_0_and_lies_amid_the_others(make_spec, make_crowd):
    truth = scatter(1)
    heights = np.full((1, 17), 0.9)
    heights[0, 9:] = 0
    crowd = make_crowd(truth, heights)
    (person,) = decode_bottom_up(crowd.outputs, IDENTITY, crowd.input_size, make_spec("bottom-up"))
    np.testing.assert_array_equal(person.scores[9:], 0)
    centre = person.keypoints[:9].mean(axis=0)
    np.testing.assert_allclose(person.keypoints[9:], np.tile(centre, (8, 1)), atol=1e-3)
    assert person.score == pytest.approx(person.scores[:9].mean(), rel=1e-5)


def test_a_gap_is_filled_from_a_weak_peak_that_keeps_its_height(make_spec, make_crowd):
    truth = scatter(2)
    heights = np.full((2, 17), 0.9)
    heights[0, 10] = 0.05
    crowd = make_crowd(truth, heights)
    people = decode_bottom_up(crowd.outputs, IDENTITY, crowd.input_size, make_spec("bottom-up"))
    weak, strong = in_order_of(people, truth)
    assert 0.03 < weak.scores[10] < 0.06 < strong.scores[10]
    np.testing.assert_allclose(weak.keypoints[10], truth[0, 10], atol=0.4)


def test_a_gap_is_not_filled_with_the_peak_of_another_person(make_spec, make_crowd):
    truth = scatter(2)
    heights = np.full((2, 17), 0.9)
    heights[0, 10] = 0
    crowd = make_crowd(truth, heights)
    people = decode_bottom_up(crowd.outputs, IDENTITY, crowd.input_size, make_spec("bottom-up"))
    assert sorted(person.scores[10] > 0 for person in people) == [False, True]


def test_a_gap_is_filled_neither_from_afar_nor_with_a_peak_that_somebody_has():
    taken, far, weak = [15, 12, 0.9, 0.1], [40, 10, 0.5, 0.0], [12, 13, 0.02, 0.3]
    people = np.array(
        [
            [[10, 10, 0.9, 0.0], [14, 10, 0.9, 0.0], [0, 0, 0, 0]],
            [[20, 10, 0.9, 0.1], [24, 10, 0.9, 0.1], taken],
        ],
        np.float32,
    )

    def fill(*third):
        entries = np.zeros((3, 3, 4), np.float32)
        entries[:2, :2], entries[2, : len(third)] = people[:, :2].transpose(1, 0, 2), third
        return fill_gaps(people, Peaks(entries[..., :2], entries[..., 2], entries[..., 3:]), tag_threshold=1)

    np.testing.assert_array_equal(fill(taken, far), people)
    filled = fill(taken, far, weak)
    np.testing.assert_array_equal(filled[0, 2], np.array(weak, np.float32))
    np.testing.assert_array_equal(filled[1], people[1])


def test_scraps_are_no_people(make_spec, make_crowd):
    heights = np.zeros((1, 17))
    heights[0, [3, 8]] = 0.9
    crowd = make_crowd(scatter(1), heights)
    spec = make_spec("bottom-up")
    assert decode_bottom_up(crowd.outputs, IDENTITY, crowd.input_size, spec) == []
    heights[0, 5] = 0.9
    crowd = make_crowd(scatter(1), heights)
    (person,) = decode_bottom_up(crowd.outputs, IDENTITY, crowd.input_size, spec)
    assert person.score < 0.35


def test_the_strongest_come_first_and_only_so_many(make_spec, make_crowd):
    heights = np.repeat([[0.4], [0.9], [0.6]], 17, axis=1)
    crowd = make_crowd(scatter(3), heights)
    spec = make_spec("bottom-up")
    people = decode_bottom_up(crowd.outputs, IDENTITY, crowd.input_size, spec)
    scores = [person.score for person in people]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    best = decode_bottom_up(crowd.outputs, IDENTITY, crowd.input_size, spec, max_people=1)
    assert len(best) == 1


def test_scores_are_clipped(make_spec, make_crowd):
    crowd = make_crowd(scatter(1), np.full((1, 17), 1.8))
    (person,) = decode_bottom_up(crowd.outputs, IDENTITY, crowd.input_size, make_spec("bottom-up"))
    assert person.scores.max() == 1 and person.score <= 1


def test_half_a_body_counts_as_much_as_a_whole_one():
    scores = np.zeros((3, 17), np.float32)
    scores[0], scores[1, :9], scores[2, :3] = 0.8, 0.8, 0.8
    np.testing.assert_allclose(score_people(scores), [0.8, 0.8, 0.8 * 3 / 8.5], rtol=1e-6)


def test_an_empty_frame_holds_nobody(make_spec, make_crowd):
    crowd = make_crowd(np.zeros((0, 17, 2)))
    assert decode_bottom_up(crowd.outputs, IDENTITY, crowd.input_size, make_spec("bottom-up")) == []


def test_merging_averages_at_the_finest_resolution_as_torch_would(make_spec):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    outputs = {
        "heatmaps_0": rng.random((2, 17, 24, 16), np.float32),
        "heatmaps_1": rng.random((2, 17, 48, 32), np.float32),
    }
    upsampled = torch.nn.functional.interpolate(
        torch.from_numpy(outputs["heatmaps_0"]), size=(48, 32), mode="bilinear", align_corners=False
    )
    kept = {name: value.copy() for name, value in outputs.items()}
    merged = merge_heatmaps(outputs, make_spec("bottom-up"))
    np.testing.assert_allclose(merged, (upsampled.numpy() + outputs["heatmaps_1"]) / 2, atol=1e-6)
    for name, value in kept.items():
        np.testing.assert_array_equal(outputs[name], value)


def test_one_output_is_its_own_mean(make_spec):
    maps = np.random.default_rng(0).random((3, 17, 64, 48), np.float32)
    np.testing.assert_array_equal(merge_heatmaps({"heatmaps": maps}, make_spec()), maps)


def test_several_tag_outputs_become_one_tag_of_that_length(make_spec, make_crowd):
    spec = make_spec(
        "bottom-up", tag_outputs=[{"name": "tags_0", "stride": 4}, {"name": "tags_1", "stride": 2}]
    )
    truth = scatter(2)
    crowd = make_crowd(truth)
    outputs = crowd.outputs | {"tags_1": np.zeros((1, 1, 128, 128), np.float32)}
    assert stack_tags(outputs, spec).shape == (17, 128, 128, 2)
    assert len(decode_bottom_up(outputs, IDENTITY, crowd.input_size, spec)) == 2


def test_outputs_that_do_not_fit_are_refused(make_spec, make_crowd):
    crowd = make_crowd(scatter(1))
    spec = make_spec("bottom-up")
    for change, message in (
        ({"heatmaps_0": np.zeros((1, 16, 64, 64))}, "differ in batch or keypoints"),
        ({"tags_0": np.zeros((1, 16, 64, 64))}, "tags must have shape"),
        (
            {"heatmaps_0": np.zeros((1, 16, 64, 64)), "heatmaps_1": np.zeros((1, 16, 128, 128))},
            "was model test-bottom-up exported with another skeleton",
        ),
    ):
        with pytest.raises(ModelFileError, match=message):
            decode_bottom_up(crowd.outputs | change, IDENTITY, crowd.input_size, spec)
    with pytest.raises(ModelFileError, match="names no tag outputs"):
        decode_bottom_up(crowd.outputs, IDENTITY, crowd.input_size, make_spec("bottom-up", tag_outputs=[]))
    doubled = {name: np.concatenate([value, value]) for name, value in crowd.outputs.items()}
    with pytest.raises(ValueError, match="one frame at a time, got a batch of 2"):
        decode_bottom_up(doubled, IDENTITY, crowd.input_size, spec)


def test_udp_maps_of_two_resolutions_meet_corner_on_corner(make_spec):
    """A ramp over the input is the same ramp in both resolutions if their corners are (Huang et al. 2020)."""
    ramps = {
        name: np.broadcast_to(
            np.linspace(0, 1, height)[:, None] + np.linspace(0, 2, width), (1, 17, height, width)
        ).astype(np.float32)
        for name, height, width in (("heatmaps_0", 6, 8), ("heatmaps_1", 12, 16))
    }
    merged = merge_heatmaps(ramps, make_spec("bottom-up", convention="udp", decoder="udp"))
    np.testing.assert_allclose(merged, ramps["heatmaps_1"], atol=1e-4)


@pytest.mark.parametrize("count", [0, 4])
def test_people_assembled_from_peaks_that_were_all_refined_are_the_same(count, make_spec, make_crowd):
    truth = scatter(max(count, 1))[:count]
    crowd, spec = make_crowd(truth), make_spec("bottom-up", decoder="dark")
    maps = merge_heatmaps(crowd.outputs, spec)[0]
    peaks = find_peaks(maps, stack_tags(crowd.outputs, spec), min_peak_score=0.01, keep_plateaus=False)
    channels = np.repeat(np.arange(17), peaks.scores.shape[1])
    refined = refine_peaks(
        maps, channels, peaks.positions.reshape(-1, 2).astype(np.intp), "dark", max_shift=1.5
    ).reshape(peaks.positions.shape)
    people = assemble_people(
        peaks, known_places(peaks, refined), IDENTITY, maps.shape[1:], crowd.input_size, spec
    )
    expected = decode_bottom_up(crowd.outputs, IDENTITY, crowd.input_size, spec)
    assert len(people) == len(expected) == count
    for person, same in zip(people, expected, strict=True):
        np.testing.assert_allclose(person.keypoints, same.keypoints, atol=1e-4)
        np.testing.assert_array_equal(person.scores, same.scores)


def test_only_places_of_peaks_are_known(make_spec, make_crowd):
    crowd, spec = make_crowd(scatter(1)), make_spec("bottom-up")
    peaks = find_peaks(merge_heatmaps(crowd.outputs, spec)[0], stack_tags(crowd.outputs, spec))
    place = peaks.positions[3, :1].astype(np.intp)
    find = known_places(peaks, peaks.positions + 0.25)
    np.testing.assert_array_equal(find(np.array([3]), place), place + np.float32(0.25))
    with pytest.raises(ValueError, match="none of the peaks"):
        find(np.array([3]), place + 1)
