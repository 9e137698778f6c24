"""Bottom-up: one run on the whole frame, peaks grouped into people by their tags."""

from typing import Generic

from engine.decode.bottom_up import decode_bottom_up
from engine.estimator.flip import run_with_flip
from engine.model import NetworkT
from engine.prepare import letterbox
from engine.settings import EstimatorSettings
from engine.structures import Image, Person
from engine.timing import Stopwatch
from engine.tracking.oks import suppress_duplicates


class BottomUpEstimator(Generic[NetworkT]):
    """Finds everybody in a picture.

    short_side: shorter side of the network input in px, None for the model's own; may be changed at any time.
    """

    def __init__(self, model: NetworkT, settings: EstimatorSettings | None = None) -> None:
        self.model = model
        self.settings = settings or EstimatorSettings()
        self.short_side = self.settings.finder_short_side

    def estimate(self, image: Image, watch: Stopwatch | None = None) -> list[Person]:
        """Return the people of one picture, duplicates suppressed, strongest first.

        Args:
            image: (H, W, 3) uint8 BGR.
            watch: is charged with `prepare`, `infer` and `decode`.
        """
        watch = watch or Stopwatch()
        spec, settings = self.model.spec, self.settings
        min_peak_score = spec.min_peak_score if settings.min_peak_score is None else settings.min_peak_score
        with watch.stage("prepare"):
            inputs, matrix = letterbox(image, spec, self.short_side)
        with watch.stage("infer"):
            outputs = run_with_flip(self.model, inputs) if settings.flip_test else self.model.run(inputs)
        with watch.stage("decode"):
            people = decode_bottom_up(
                outputs,
                matrix,
                inputs.shape[2:],
                spec,
                min_peak_score=min_peak_score,
                max_people=settings.max_people,
            )
            kept = [person for person in people if person.score >= settings.min_person_score]
            kept = suppress_duplicates(kept, spec.skeleton, settings.duplicate_oks)
            kept.sort(key=lambda person: person.score, reverse=True)
        return kept[: settings.max_people]
