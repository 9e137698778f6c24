"""Whatever is seen, what holds of the tracker."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.metrics.walking import Walker
from engine.settings import SmoothingSettings, TrackerSettings
from engine.skeleton import COCO17
from engine.structures import KeypointState, Person
from engine.tracking.tracker import Tracker

STANDING = Walker((400.0, 600.0), speed=0.0).keypoints(0.0)

sightings = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.floats(-80, 80),
            st.floats(0, 1),
            st.integers(0, 2**17 - 1),
            st.floats(0.3, 2),
        ),
        max_size=4,
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(
    sightings,
    st.lists(st.floats(0.001, 0.8), min_size=12, max_size=12),
    st.sampled_from(["kalman", "one-euro", "none"]),
)
def test_whatever_is_seen_ids_are_unique_outputs_finite_and_runs_repeatable(frames, steps, method) -> None:
    def run() -> list:
        tracker = Tracker(TrackerSettings(confirm_s=0.02, smoothing=SmoothingSettings(method=method)), COCO17)
        time_s, highest, shown = 0.0, 0, []
        for sighting, step in zip(frames, steps):
            time_s += step
            people = []
            for place, shift, score, bits, size in sighting:
                scores = np.array([(bits >> k & 1) * score for k in range(17)], np.float32)
                keypoints = ((STANDING - STANDING[0]) * size + [150 * place + shift, 200]).astype(np.float32)
                bbox = np.concatenate([keypoints.min(axis=0), keypoints.max(axis=0)])
                people.append(Person(keypoints, scores, bbox, float(score)))
            tracked = tracker.update(people, time_s)
            ids = [person.track_id for person in tracked]
            assert ids == sorted(set(ids)) and all(number > 0 for number in ids)
            new = [number for number in ids if number > highest]
            assert new == list(range(highest + 1, highest + 1 + len(new)))
            highest += len(new)
            for person in tracked:
                missing = person.state == KeypointState.MISSING
                assert not missing.all()
                assert (
                    np.isfinite(person.keypoints[~missing]).all()
                    and np.isnan(person.keypoints[missing]).all()
                )
                assert np.isfinite(person.velocity[~missing]).all()
                assert np.isfinite(person.bbox).all() and (person.bbox[2:] > person.bbox[:2]).all()
                assert ((person.scores >= 0) & (person.scores <= 1)).all()
            for track in tracker.predict(time_s + step):
                assert np.isfinite(track.bbox).all()
            shown.append([(p.track_id, p.keypoints.tobytes(), p.state.tobytes()) for p in tracked])
        return shown

    assert run() == run()
