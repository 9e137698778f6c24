from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.skeleton import COCO17, DEFAULT_OKS_SIGMA, SKELETONS, Skeleton, open_skeleton

HAND = """
keypoints: [wrist, left_tip, right_tip, thumb, nose]
limbs:
  - [wrist, left_tip]
  - [0, 2]
oks_sigmas: {thumb: 0.03}
upper_body: [wrist, 3]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "hand.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)
def test_shipped_skeletons_pair_left_with_right_and_split_at_the_hips(skeleton: Skeleton) -> None:
    names = skeleton.keypoints
    for index, name in enumerate(names):
        other = {"left": "right", "right": "left"}.get(name.split("_")[0])
        mirrored = name if other is None else "_".join([other, *name.split("_")[1:]])
        assert names[skeleton.flip_index[index]] == mirrored
    lower = {name for index, name in enumerate(names) if index not in skeleton.upper_body}
    assert lower <= {f"{side}_{p}" for side in ("left", "right") for p in ("hip", "knee", "ankle")} | {
        "pelvis"
    }
    assert len(lower) in (6, 7)
    linked = {index for limb in skeleton.limbs for index in limb}
    assert {names[index] for index in range(skeleton.count)} - {names[index] for index in linked} <= {
        "left_ear",
        "right_ear",
    }


def test_a_skeleton_is_opened_by_name() -> None:
    assert open_skeleton("coco17") is COCO17


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean crowdpose14"):
        open_skeleton("crowdpose")
    with pytest.raises(UsageError, match="known are coco17, "):
        open_skeleton("zzz")


def test_a_file_names_its_pairs_and_leaves_out_what_follows(tmp_path: Path) -> None:
    skeleton = open_skeleton(write(tmp_path, HAND))
    assert skeleton.name == "hand"
    assert skeleton.limbs == ((0, 1), (0, 2))
    assert skeleton.flip_pairs == ((1, 2),)
    assert skeleton.oks_sigmas == (DEFAULT_OKS_SIGMA,) * 3 + (0.03, 0.026)
    assert skeleton.upper_body == (0, 3)


def test_left_and_right_are_paired_wherever_the_names_say_so(tmp_path: Path) -> None:
    skeleton = open_skeleton(write(tmp_path, "keypoints: [kneeLeft, kneeRight, tail, hip_left, hip_right]"))
    assert skeleton.flip_pairs == ((0, 1), (3, 4))


def test_flip_pairs_given_as_none_flip_nothing(tmp_path: Path) -> None:
    assert open_skeleton(write(tmp_path, HAND + "flip_pairs: []\n")).flip_pairs == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keypoints: [a, b]\nlimb: [[a, b]]", "'limb' is no part of a skeleton; did you mean limbs"),
        ("keypoints: [knee, hip]\nlimbs: [[kne, hip]]", "limbs: 'kne' .* did you mean knee"),
        ("keypoints: [a, b]\nlimbs: [[a, 2]]", r"limbs: 2 is neither a keypoint nor an index in 0\.\.1"),
        ("keypoints: [a, b]\nlimbs: [a, b]", "limbs must be a list of pairs"),
        ("keypoints: [a, b]\noks_sigmas: [0.1]", "2 keypoints but 1 oks_sigmas"),
        ("keypoints: [a, b]\noks_sigmas: {a: -1}", "a must have a positive number"),
        ("keypoints: [a, a]", "names a keypoint twice"),
        ("keypoints: [a, b]\nflip_pairs: [[a, b], [b, a]]", "flips a keypoint twice"),
        ("keypoints: 3", "must be a list of names"),
        ("limbs: []", "must have `keypoints:`"),
        ("a: [", "is not YAML"),
    ],
)
def test_an_impossible_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_skeleton(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml does not exist"):
        open_skeleton(tmp_path / "none.yaml")


def test_a_model_file_of_before_upper_body_is_still_read() -> None:
    old = COCO17.model_dump(mode="json")
    del old["upper_body"]
    assert Skeleton.model_validate(old).upper_body == ()
