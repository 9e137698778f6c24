"""Dressed synthetic people: which garments, which colours, and their mesh in a pose."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from train.data.synthetic_bodies import Body, Library, Pose, Surface, dress, pose_bones, skin, sole_height
from train.data.synthetic_materials import Material, flat, random_cloth, random_colour, random_complexion
from train.data.synthetic_motions import Motion, turned
from train.data.synthetic_shading import Mesh

TOPS = ("tshirt_m", "tshirt_f", "longsleeve_m", "shirt_m", "sport_top_f", "jacket_f", "")
TOP_CHANCE = (0.24, 0.18, 0.16, 0.14, 0.07, 0.09, 0.12)
BOTTOMS = ("trousers_m", "trousers_f", "shorts_f", "skirt_f", "")
BOTTOM_CHANCE = (0.32, 0.26, 0.17, 0.10, 0.15)
SHOES = ("shoes_a", "shoes_b", "shoes_c", "")
HAIR_MALE = ("hair_short_a", "hair_short_b", "hair_short_c", "hair_afro", "")
HAIR_FEMALE = ("hair_bob", "hair_long", "hair_ponytail", "hair_afro", "hair_short_b")


@dataclass(frozen=True, slots=True)
class Outfit:
    """What a person wears. Names are garments; empty means painted on the body.

    long_sleeves: paint the arms with the shirt. bare_legs: paint the legs below the thigh as skin.
    """

    top: str
    bottom: str
    shoes: str
    hair: str
    long_sleeves: bool = False
    bare_legs: bool = False

    @property
    def garments(self) -> tuple[str, ...]:
        """The garments that are meshes."""
        return tuple(name for name in (self.bottom, self.top, self.shoes, self.hair) if name)


class Figure:
    """One dressed person that can be posed."""

    def __init__(
        self, library: Library, body_index: int, outfit: Outfit, materials: dict[str, Material]
    ) -> None:
        self.library, self.body_index, self.outfit = library, body_index, outfit
        self.body: Body = library.body(body_index)
        self.raise_m = sole_height(library, body_index, outfit.garments)
        self.surfaces = dress(library, body_index, outfit.garments)
        names = list(materials)
        self.materials = tuple(materials.values())
        chosen = [
            _paint_body(library, surface, outfit)
            if surface.name == "body"
            else np.where(surface.region == 1, "sock", surface.name)
            for surface in self.surfaces
        ]
        listed, inverse = np.unique(np.concatenate(chosen), return_inverse=True)
        self.material = np.array([names.index(name) for name in listed])[inverse]
        offsets = np.cumsum([0] + [len(surface.vertices) for surface in self.surfaces[:-1]])
        self.triangles = np.concatenate(
            [s.triangles + offset for s, offset in zip(self.surfaces, offsets)]
        ).astype(np.int32)
        # Cloth and hair are open sheets whose inside can be seen; skin is closed.
        self.double_sided = np.concatenate(
            [np.full(len(s.triangles), s.name != "body") for s in self.surfaces]
        )
        self.whole = Surface(
            "person",
            np.concatenate([surface.vertices for surface in self.surfaces]),
            np.concatenate([surface.normals for surface in self.surfaces]),
            np.concatenate([surface.weights for surface in self.surfaces]),
            self.triangles,
            np.concatenate([surface.region for surface in self.surfaces]),
            np.concatenate([surface.part for surface in self.surfaces]),
        )

    def pose(self, rotation: NDArray[np.floating], root: NDArray[np.floating], yaw: float = 0.0) -> Pose:
        """Pose the skeleton with quaternions (B, 4) turned by `yaw` radians, the root at (3,) metres."""
        return pose_bones(self.library.parents, self.body.bone_head, turned(np.asarray(rotation), yaw), root)

    def pose_in_clip(self, motion: Motion, frame: int, position: Sequence[float], yaw: float) -> Pose:
        """Pose as in `motion` at `frame`, standing at `position` (x, z) metres, turned by `yaw` radians."""
        height = (
            motion.root[frame, 1] * self.body.leg_length + motion.floor[frame, self.body_index] + self.raise_m
        )
        return self.pose(motion.rotation[frame], np.array([position[0], height, position[1]]), yaw)

    def mesh(self, pose: Pose) -> tuple[Mesh, NDArray[np.float64]]:
        """Return the posed mesh and its 17 keypoints (17, 3), world metres."""
        vertices, normals = skin(self.whole, self.body.bone_head, pose)
        keypoints = self.library.keypoints(pose, vertices[: len(self.body.vertices)])
        mesh = Mesh(
            vertices,
            normals,
            self.whole.vertices,
            self.triangles,
            self.material,
            self.double_sided,
            self.materials,
        )
        return mesh, keypoints


def _paint_body(library: Library, surface: Surface, outfit: Outfit) -> NDArray[np.str_]:
    """Name the material of every triangle of the skin."""
    names = np.array(library.regions, dtype="<U16")[surface.region]
    names[names == "shoe"] = "foot" if not outfit.shoes else "sock"
    below_thigh = _moved_by(library, surface, ("lowerleg", "upperleg02"))
    arm = _moved_by(library, surface, ("lowerarm", "upperarm"))
    if outfit.bare_legs:
        names[(names == "trousers") & below_thigh] = "skin"
    if outfit.long_sleeves:
        names[(names == "skin") & arm] = "shirt"
    if outfit.top == "sport_top_f":
        names[(names == "shirt") & _moved_by(library, surface, ("upperarm",))] = "skin"
    return names


def _moved_by(library: Library, surface: Surface, prefixes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return (F,) whether the bone that moves a triangle most has a name with one of the prefixes."""
    return np.array([name.startswith(prefixes) for name in library.bones])[surface.part]


def random_outfit(rng: np.random.Generator, male: bool, *, upright: bool = True) -> Outfit:
    """Draw what a person wears; skirts only where all poses are `upright`."""
    hair = str(
        rng.choice(HAIR_MALE if male else HAIR_FEMALE, p=(0.28, 0.28, 0.2, 0.06, 0.18) if male else None)
    )
    shoes = str(rng.choice(SHOES, p=(0.32, 0.28, 0.28, 0.12)))
    if rng.random() < (0.08 if male else 0.02):
        return Outfit("suit_m", "", shoes, hair, long_sleeves=True)
    top = str(rng.choice(TOPS, p=TOP_CHANCE))
    bottom = str(rng.choice(BOTTOMS, p=BOTTOM_CHANCE))
    if bottom == "skirt_f" and (male or not upright):
        bottom = "shorts_f"
    if top == "sport_top_f" and male:
        top = "tshirt_m"
    bare = bottom in ("shorts_f", "skirt_f") or (not bottom and rng.random() < 0.4)
    return Outfit(top, bottom, shoes, hair, long_sleeves=bool(rng.random() < 0.25), bare_legs=bare)


def random_materials(rng: np.random.Generator, body: Body, outfit: Outfit) -> dict[str, Material]:
    """Draw colours and patterns for everything a person shows, by material name."""
    parameters = json.loads(body.params)
    african, asian, caucasian = parameters["race"]
    materials = random_complexion(rng, (african, asian, caucasian), parameters["age"])
    shirt, trousers = random_cloth(rng), random_cloth(rng, patterned=0.15, muted=True)
    leather = flat(random_colour(rng, muted=True), grain=0.15, gloss=0.15, shininess=20.0)
    under = flat(random_colour(rng), grain=0.05)
    sock = flat(random_colour(rng), grain=0.08)
    foot = sock if rng.random() < 0.5 else materials["skin"]
    materials |= {"shirt": shirt, "trousers": trousers, "foot": foot, "sock": sock}
    if outfit.top == "suit_m":
        cloth = random_cloth(rng, patterned=0.1, muted=True)
        materials |= {"suit_m": replace(cloth, scale=0.01), "shirt": under, "trousers": cloth}
    elif outfit.top:
        materials[outfit.top] = shirt
        if outfit.top in ("jacket_f", "shirt_m"):
            materials["shirt"] = under if rng.random() < 0.6 else shirt
    if outfit.bottom:
        materials[outfit.bottom] = trousers
    if outfit.shoes:
        materials[outfit.shoes] = leather
    if outfit.hair:
        materials[outfit.hair] = materials["hair"]
    else:
        materials["scalp"] = materials["stubble"]
    return materials


def random_figure(library: Library, rng: np.random.Generator, *, upright: bool = True) -> Figure:
    """Draw a body, an outfit and its colours."""
    body_index = int(rng.integers(library.body_count))
    body = library.body(body_index)
    outfit = random_outfit(rng, json.loads(body.params)["gender"] > 0.5, upright=upright)
    return Figure(library, body_index, outfit, random_materials(rng, body, outfit))
