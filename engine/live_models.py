"""Which settings need models to be opened, and which do not."""

from engine.settings import EstimatorSettings, TrackSettings

MODEL_FIELDS = ("mode", "top_down_model", "bottom_up_model", "runtime", "precision", "threads")
"""Settings that need other models, or the same ones opened anew."""


def needs_models(before: EstimatorSettings, after: EstimatorSettings) -> bool:
    """Whether the second settings call for models to be opened."""
    return any(getattr(before, name) != getattr(after, name) for name in MODEL_FIELDS)


def with_models(settings: TrackSettings, models: EstimatorSettings) -> TrackSettings:
    """Return settings with those fields of `models` that need models opened."""
    fields = {name: getattr(models, name) for name in MODEL_FIELDS}
    return settings.model_copy(update={"estimator": settings.estimator.model_copy(update=fields)})


def name_models(settings: EstimatorSettings) -> str:
    """Return the models that settings need, in words."""
    if settings.mode == "bottom-up":
        return settings.bottom_up_model
    return f"{settings.top_down_model} and {settings.bottom_up_model}"
