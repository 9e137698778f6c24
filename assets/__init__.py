"""Files that ship with SteadyPose: models, the demo clip and its truth. Paths only, no logic."""

from importlib.resources import files
from pathlib import Path


def asset_path(*parts: str) -> Path:
    """Return the path of a bundled file or folder; whether it exists is for the caller to ask."""
    return Path(str(files("assets"))).joinpath(*parts)


def models_dir() -> Path:
    """Return the folder of the bundled models."""
    return asset_path("models")


def demo_clip() -> Path:
    """Return the path of the demo clip."""
    return asset_path("demo.mp4")


def demo_truth() -> Path:
    """Return the path of the demo clip's exact keypoints and track ids."""
    return asset_path("demo_truth.csv")


def icons_dir() -> Path:
    """Return the folder of the window's icons, SVG drawn in `currentColor`."""
    return asset_path("icons")
