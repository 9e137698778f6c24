"""Synthetic people: a training set with exact keypoints, and the demo clip with its truth.

The doors to the renderer. Bodies, garments and motions come from one folder (layout in `synthetic_bodies`),
backgrounds from another; both stay outside the repository, what is drawn from them may be passed on under the
licences of what was drawn.
"""

from pathlib import Path

from engine.errors import UsageError
from train.data.synthetic_backdrops import Backdrops
from train.data.synthetic_bodies import Library
from train.data.synthetic_demo import write_demo
from train.data.synthetic_training import write_training_set


def synthesize_training_set(
    bodies_dir: Path,
    backgrounds_dir: Path,
    out_dir: Path,
    *,
    count: int = 2000,
    seed: int = 0,
    close_ups: float = 0.0,
) -> Path:
    """Draw `count` pictures of one to six people and label them in the COCO keypoint format.

    Args:
        bodies_dir: folder with topology.npz, bodies/, garments/ and motions/.
        backgrounds_dir: folder of pictures; those twice as wide as high are equirectangular panoramas.
        out_dir: gets images/ and people.json. The latter is written anew, at one stroke, every 200 pictures.
        count: number of pictures, at least 1.
        seed: the same seed gives the same pictures; picture i does not depend on `count`.
        close_ups: share of pictures of heads and upper bodies, as before a webcam.

    Returns:
        The path of people.json. In its annotations v = 2 is visible, 1 occluded, 0 outside the frame, and
        `kp_weight` is 1, 0.3 and 0 in these cases.

    Raises:
        UsageError: a folder is missing or is not what it should be, or `count` is less than 1.
    """
    if count < 1:
        raise UsageError(f"the number of pictures must be at least 1, got {count}")
    library, backdrops = Library(bodies_dir), Backdrops(backgrounds_dir)
    return write_training_set(library, backdrops, out_dir, count=count, seed=seed, close_ups=close_ups)


def render_demo(
    bodies_dir: Path, backgrounds_dir: Path, out_video: Path, out_csv: Path, *, seed: int = 0
) -> None:
    """Draw the demo clip: 12 s, 1280×720, 30 frames/s, three people who cross and hide each other.

    Args:
        bodies_dir: as for `synthesize_training_set`.
        backgrounds_dir: folder of panoramas that has the clip's own (`synthetic_demo.PANORAMA`).
        out_video: H.264 file to write.
        out_csv: its truth, one row per person and frame: frame, time_s, track_id, bbox_x1, bbox_y1, bbox_x2,
            bbox_y2, then per COCO keypoint NAME_x, NAME_y, NAME_visibility (0 outside the frame, 1 occluded,
            2 visible). Frame pixels; boxes enclose hidden parts too.
        seed: draws complexions and sensor noise; who walks where is fixed.

    Raises:
        UsageError: a folder is missing or is not what it should be.
    """
    write_demo(Library(bodies_dir), Backdrops(backgrounds_dir), out_video, out_csv, seed=seed)
