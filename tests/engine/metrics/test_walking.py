"""The simulated walker keeps its shape and walks as a walker does."""

import numpy as np
import pytest

from engine.metrics.walking import Walker
from engine.skeleton import COCO17

TIME = np.arange(0, 6, 1 / 60)


@pytest.mark.parametrize("speed", [230.0, -230.0])
def test_a_walker_moves_at_its_speed_and_keeps_its_limbs_lengths(speed: float) -> None:
    keypoints = Walker((500.0, 600.0), speed=speed).keypoints(TIME)
    assert keypoints.shape == (len(TIME), 17, 2)
    hips = keypoints[:, 11:13].mean(axis=1)
    assert hips[-1, 0] - hips[0, 0] == pytest.approx(speed * TIME[-1])
    for first, second in ((11, 13), (13, 15), (5, 7), (7, 9)):
        length = np.linalg.norm(keypoints[:, first] - keypoints[:, second], axis=1)
        assert length == pytest.approx(length[0], abs=1e-9)


def test_a_walker_is_as_tall_as_asked_and_stands_upright() -> None:
    keypoints = Walker((500.0, 600.0), height=300.0).keypoints(TIME)
    names = COCO17.keypoints
    head, feet = keypoints[:, names.index("nose"), 1], keypoints[:, 15:, 1]
    assert (head < keypoints[:, 5, 1]).all()
    assert feet.max() - head.min() == pytest.approx(0.92 * 300, rel=0.05)
    assert feet.max() <= 601


def test_feet_take_turns_and_swing_faster_than_the_body() -> None:
    keypoints = Walker((500.0, 600.0)).keypoints(TIME)
    speeds = np.diff(keypoints[:, 15:, 0], axis=0) * 60
    assert speeds.max() > 2 * 230
    assert np.corrcoef(speeds.T)[0, 1] < -0.3


def test_who_does_not_walk_stands_still() -> None:
    keypoints = Walker((500.0, 600.0), speed=0.0).keypoints(TIME)
    assert (keypoints == keypoints[0]).all()


def test_one_moment_gives_one_pose() -> None:
    walker = Walker((500.0, 600.0), drift=10.0, phase=1.0)
    np.testing.assert_allclose(walker.keypoints(TIME[7]), walker.keypoints(TIME)[7])
