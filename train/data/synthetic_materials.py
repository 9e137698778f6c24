"""Colours and procedural patterns of skin, hair and clothes of the synthetic people.

Patterns are functions of the rest-pose position in metres, so a stripe keeps its width and stays on the cloth
while the body moves. Colours are linear (not sRGB) BGR in [0, 1].
"""

from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

NOISE_SIZE = 512
NOISE_PER_M = 128.0
PATTERNS = ("plain", "stripes", "bars", "checks", "dots", "camouflage", "halves", "print")


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """How a surface looks.

    colour, second: (3,) linear BGR. pattern: one of PATTERNS. scale: width of a pattern element, metres.
    grain: share of brightness that varies with a fine noise. wrinkle: how far folds tilt the normal, radians.
    gloss: strength of the highlight. shininess: its sharpness. strands: hair instead of cloth.
    """

    colour: NDArray[np.float32]
    second: NDArray[np.float32]
    pattern: str = "plain"
    scale: float = 0.05
    grain: float = 0.1
    wrinkle: float = 0.0
    gloss: float = 0.0
    shininess: float = 12.0
    strands: bool = False


def linear(rgb: tuple[float, float, float] | NDArray[np.floating]) -> NDArray[np.float32]:
    """Turn an sRGB colour (red, green, blue) in [0, 1] into linear BGR."""
    return (np.clip(np.asarray(rgb, np.float32)[::-1], 0, 1) ** 2.2).astype(np.float32)


def flat(
    rgb: tuple[float, float, float] | NDArray[np.floating],
    *,
    grain: float = 0.1,
    gloss: float = 0.0,
    shininess: float = 12.0,
) -> Material:
    """Return a plain material of an sRGB colour."""
    colour = linear(rgb)
    return Material(colour, colour, grain=grain, gloss=gloss, shininess=shininess)


@cache
def noise_planes() -> NDArray[np.float32]:
    """Return (4, S, S) tileable noise, zero mean, about unit range: smooth, fine, and the slopes of folds."""
    rng = np.random.default_rng(20240229)
    white = rng.standard_normal((NOISE_SIZE, NOISE_SIZE)).astype(np.float32)

    def smooth(sigma: float) -> NDArray[np.float32]:
        margin = 64
        wide = cv2.copyMakeBorder(white, margin, margin, margin, margin, cv2.BORDER_WRAP)
        plane = cv2.GaussianBlur(wide, (0, 0), sigma)[margin:-margin, margin:-margin]
        return plane / plane.std()

    folds = smooth(5.0) + 0.6 * smooth(9.0)
    slope_x = (np.roll(folds, -1, 1) - np.roll(folds, 1, 1)) * 2
    slope_y = (np.roll(folds, -1, 0) - np.roll(folds, 1, 0)) * 2
    return np.stack([smooth(6.0), smooth(1.0), slope_x, slope_y]).astype(np.float32)


def sample_noise(plane: int, u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.float32]:
    """Look noise plane `plane` up at positions in metres (P,), repeating every 4 m."""
    column = (u * NOISE_PER_M).astype(np.int64) & (NOISE_SIZE - 1)
    row = (v * NOISE_PER_M).astype(np.int64) & (NOISE_SIZE - 1)
    return noise_planes()[plane, row, column]


def albedo(material: Material, position: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the linear BGR colour (P, 3) of a material at rest positions (P, 3) in metres."""
    u, v = position[:, 0] + 0.7 * position[:, 2], position[:, 1]
    if material.strands:
        across = np.arctan2(position[:, 0], position[:, 2] - 0.03)
        streak = sample_noise(1, across * 0.35, v * 0.12)
        return material.colour * np.clip(1 + 0.38 * streak, 0.25, 2.2)[:, None]
    mix = pattern_mix(material, position)
    colour = material.colour + mix[:, None] * (material.second - material.colour)
    if material.grain:
        rough = 0.7 * sample_noise(1, u, v) + 0.4 * sample_noise(0, u * 0.7, v * 0.7)
        colour *= np.clip(1 + material.grain * rough, 0.3, 1.8)[:, None]
    return colour


def pattern_mix(material: Material, position: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of the second colour (P,) in [0, 1] at rest positions (P, 3) in metres."""
    x, y, z = position.T
    u, scale = x + 0.7 * z, material.scale
    if material.pattern == "stripes":
        mix = np.mod(y / scale, 2) < 1
    elif material.pattern == "bars":
        mix = np.mod(u / scale, 2) < 0.7
    elif material.pattern == "checks":
        mix = ((np.mod(u / scale, 2) < 1).astype(np.float32) + (np.mod(y / scale, 2) < 1)) / 2
    elif material.pattern == "dots":
        mix = np.hypot(np.mod(u / scale, 2) - 1, np.mod(y / scale, 2) - 1) < 0.5
    elif material.pattern == "camouflage":
        mix = sample_noise(0, u * 0.05 / scale, y * 0.05 / scale) > 0.3
    elif material.pattern == "halves":
        mix = (y > 1.18 + scale) | (np.abs(x) > 0.24)
    elif material.pattern == "print":
        # A badge on the chest or the back.
        mix = (np.abs(x) < 1.6 * scale) & (np.abs(y - 1.22) < scale) & (sample_noise(0, u * 3, y * 3) > -0.5)
    else:
        mix = np.zeros(len(position), np.float32)
    return np.asarray(mix, np.float32)


def random_colour(rng: np.random.Generator, *, muted: bool = False) -> NDArray[np.float32]:
    """Draw a colour that clothes have, sRGB (3,): greys, denim and earth as often as bright ones."""
    kind = rng.random()
    if kind < 0.3:
        colour = np.full(3, rng.choice([0.06, 0.12, 0.25, 0.45, 0.7, 0.9])) + rng.normal(0, 0.02, 3)
    elif kind < 0.45:
        colour = np.array([0.16, 0.22, 0.36]) * rng.uniform(0.5, 1.8)
    elif kind < 0.6:
        colour = np.array([0.45, 0.36, 0.26]) * rng.uniform(0.4, 1.7)
    else:
        hue, saturation, value = rng.uniform(0, 360), rng.uniform(0.35, 0.95), rng.uniform(0.25, 0.95)
        if muted:
            saturation, value = saturation * 0.5, value * 0.7
        sample = np.array([[[hue, saturation, value]]], np.float32)
        colour = cv2.cvtColor(sample, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)
    return np.clip(colour, 0.02, 0.97).astype(np.float32)


def random_cloth(rng: np.random.Generator, *, patterned: float = 0.5, muted: bool = False) -> Material:
    """Draw a cloth; `patterned` is the probability of anything but one plain colour."""
    pattern = str(rng.choice(PATTERNS[1:])) if rng.random() < patterned else "plain"
    scale = {"checks": 0.03, "bars": 0.025, "dots": 0.02, "halves": 0.08, "print": 0.07}.get(pattern, 0.035)
    return Material(
        linear(random_colour(rng, muted=muted)),
        linear(random_colour(rng, muted=muted)),
        pattern,
        scale=float(scale * rng.uniform(0.6, 1.8)),
        grain=float(rng.uniform(0.03, 0.12)),
        wrinkle=float(rng.uniform(0.12, 0.35)),
        gloss=float(rng.uniform(0, 0.08)),
    )


SKIN_TONES = {
    "african": ((0.25, 0.15, 0.10), (0.50, 0.33, 0.24)),
    "asian": ((0.72, 0.54, 0.42), (0.90, 0.74, 0.62)),
    "caucasian": ((0.76, 0.56, 0.46), (0.95, 0.79, 0.70)),
}
HAIR_TONES = {
    "african": ((0.05, 0.04, 0.04), (0.12, 0.08, 0.06)),
    "asian": ((0.05, 0.04, 0.04), (0.16, 0.10, 0.07)),
    "caucasian": ((0.10, 0.06, 0.04), (0.32, 0.20, 0.11), (0.62, 0.46, 0.26), (0.48, 0.22, 0.10)),
}
IRIS_TONES = ((0.25, 0.14, 0.08), (0.35, 0.24, 0.12), (0.25, 0.40, 0.55), (0.30, 0.42, 0.30))


def random_complexion(
    rng: np.random.Generator, race: tuple[float, float, float], age: float
) -> dict[str, Material]:
    """Draw skin, hair and eye colours, by name, that fit a body.

    race: shares of african, asian and caucasian. age: 0 to 1, where 0.5 is 25 years and 1 is old.
    """
    names = ("african", "asian", "caucasian")
    tone = np.zeros(3)
    for name, share in zip(names, race):
        low, high = (np.array(colour) for colour in SKIN_TONES[name])
        tone += share * (low + rng.random() * (high - low))
    tone = np.clip(tone * rng.uniform(0.88, 1.1), 0.05, 0.97)
    choices = HAIR_TONES[names[int(np.argmax(race))]]
    hair = np.array(choices[rng.integers(len(choices))]) * rng.uniform(0.8, 1.3)
    if age > 0.75:
        hair = np.full(3, rng.uniform(0.45, 0.85))
    elif rng.random() < 0.04:
        hair = random_colour(rng).astype(np.float64)
    iris = IRIS_TONES[rng.integers(len(IRIS_TONES))] if race[2] > 0.5 else IRIS_TONES[0]
    lips = tone * np.array([0.88, 0.62, 0.60]) if rng.random() < 0.7 else np.array([0.65, 0.2, 0.22])
    return {
        "skin": flat(tone, grain=0.05, gloss=0.10, shininess=14.0),
        "lips": flat(lips, grain=0.0, gloss=0.2, shininess=20.0),
        "brow": flat(hair * 0.6 + tone * 0.15, grain=0.1),
        "hair": replace(flat(hair, gloss=0.12, shininess=14.0), strands=True),
        "scalp": flat(hair * 0.8 + tone * 0.05, grain=0.2),
        "stubble": flat(hair * 0.25 + tone * 0.7, grain=0.1, gloss=0.1),
        "eye_white": flat((0.88, 0.86, 0.84), grain=0.0, gloss=0.5, shininess=60.0),
        "iris": flat(iris, grain=0.0, gloss=0.5, shininess=60.0),
        "pupil": flat((0.02, 0.02, 0.02), grain=0.0, gloss=0.6, shininess=60.0),
    }
