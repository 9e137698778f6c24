"""Bottom-up: one run on the whole frame, peaks grouped into people by their tags."""

from collections.abc import Sequence
from typing import Generic

from engine.device.frames import FrameRing
from engine.estimator.device_path import DevicePath
from engine.estimator.frame_reader import DeviceFrameReader, FrameReader, HostFrameReader, Look
from engine.estimator.heatmap_view import HeatmapView
from engine.model import NetworkT
from engine.prepare import input_size
from engine.settings import EstimatorSettings
from engine.structures import Image, Person
from engine.timing import Stopwatch
from engine.tracking.oks import suppress_duplicates

MIN_SCALED_SIDE = 96
"""A scale that would make the short side smaller than this, in px, is left out: nobody is seen there."""
FILLS_FRAME = 0.8
"""Somebody as long as this share of the frame's short side fills the frame."""


class BottomUpEstimator(Generic[NetworkT]):
    """Finds everybody in a picture.

    short_side: shorter side of the network input in px, None for the model's own; may be changed at any time.
    scales: the picture is looked at in each of these shares of the short side, as far as the network takes
    other sizes and the result is not below `MIN_SCALED_SIDE`. The largest finds everybody it can, the others
    add those who fill the frame.

    A network on a device is fed and decoded there as well. ring: brings frames to that device, shared with
    others; None for an own one, which `release` frees.
    """

    def __init__(
        self,
        model: NetworkT,
        settings: EstimatorSettings | None = None,
        *,
        scales: Sequence[float] = (1.0,),
        ring: FrameRing | None = None,
    ) -> None:
        self.model = model
        self._host: FrameReader = HostFrameReader(model)
        self._device: DevicePath[FrameReader] = DevicePath(model, ring, DeviceFrameReader)
        self.settings = settings or EstimatorSettings()
        self.short_side = self.settings.finder_short_side
        self.scales = tuple(scales)

    def check_short_side(self, short_side: int | None) -> None:
        """Raise `UsageError` unless the network takes pictures of this short side in px, None its own."""
        input_size(self.model.spec.input_size, self.model.spec, short_side)

    def estimate(
        self, image: Image, watch: Stopwatch | None = None, view: HeatmapView | None = None
    ) -> list[Person]:
        """Return the people of one picture, duplicates suppressed, strongest first.

        Args:
            image: (H, W, 3) uint8 BGR.
            watch: is charged with `prepare`, `infer` and `decode`.
            view: of this picture, gets the finest heatmaps painted in.
        """
        watch = watch or Stopwatch()
        spec, settings = self.model.spec, self.settings
        people: list[Person] = []
        image = self._device.picture(image)
        for number, short_side in enumerate(self._short_sides()):
            seen = self._look(image, short_side, watch, view)
            people += seen if number == 0 else [p for p in seen if fills_frame(p, image)]
        with watch.stage("decode"):
            kept = [person for person in people if person.score >= settings.min_person_score]
            kept = suppress_duplicates(kept, spec.skeleton, settings.duplicate_oks)
            kept.sort(key=lambda person: person.score, reverse=True)
        return kept[: settings.max_people]

    def release(self) -> None:
        """Free what is held on a device besides the model, which stays open."""
        self._device.release()

    def _short_sides(self) -> Sequence[int | None]:
        full = self.short_side or min(self.model.spec.input_size)
        if not self.model.spec.dynamic_size or self.scales == (1.0,):
            return [self.short_side]
        sides = {round(full * scale) for scale in self.scales if full * scale >= MIN_SCALED_SIDE}
        return sorted(sides or {full}, reverse=True)

    def _look(
        self, image: Image, short_side: int | None, watch: Stopwatch, view: HeatmapView | None
    ) -> list[Person]:
        """Return the people seen in one size, as decoded."""
        spec, settings = self.model.spec, self.settings
        least = spec.min_peak_score if settings.min_peak_score is None else settings.min_peak_score
        look = Look(short_side, least, settings.max_people, settings.flip_test)
        reader = self._device.reader(flip_test=settings.flip_test) or self._host
        return reader.read(image, look, watch, view)


def finder_settings(settings: EstimatorSettings) -> EstimatorSettings:
    """Return the settings of a bottom-up model that finds people for crops: one look, low thresholds."""
    peak_score = settings.finder_min_peak_score
    return settings.model_copy(
        update={
            "flip_test": False,
            "min_person_score": min(settings.finder_min_score, settings.min_person_score),
            "min_peak_score": settings.min_peak_score if peak_score is None else peak_score,
        }
    )


def fills_frame(person: Person, image: Image) -> bool:
    """Whether a person's longer side reaches `FILLS_FRAME` of the short side of the (H, W, 3) picture."""
    sides = person.bbox[2:] - person.bbox[:2]
    return float(sides.max()) >= FILLS_FRAME * min(image.shape[:2])
