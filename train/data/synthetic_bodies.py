"""Skinned bodies, garments and motions of the synthetic people: loading, dressing, posing.

Reads the folder described by its own README (`topology.npz`, `bodies/`, `garments/`, `motions/`). Metres,
right-handed, +Y up, +Z the way a person faces, +X the person's left, ground at y = 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.skeleton import COCO17
from train.data.synthetic_motions import Motion, load_motion, rotation_matrices

# How far the surface of a limb may lie in front of its keypoint before the keypoint counts as occluded,
# metres: face points lie on the surface, joints inside (clothes included).
KEYPOINT_DEPTH_M = np.array(
    [0.012] * 3 + [0.02] * 2 + [0.17] * 2 + [0.10] * 2 + [0.07] * 2 + [0.19] * 2 + [0.11] * 2 + [0.08] * 2
)
# The two largest parts of a pair of shoes are the shoes, the next two the shafts of the socks.
SHOE_PARTS, SHOE_AND_SOCK_PARTS = 2, 4


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """One skinned mesh in rest pose: the skin of a body or a garment.

    name: `body` or the garment's name. vertices, normals: (V, 3). weights: (V, B) skinning weights.
    triangles: (F, 3), counter-clockwise from outside. region: (F,) index into `Library.regions`; for garments
    0, or 1 on the socks of a pair of shoes. part: (F,) index of the bone that moves the triangle most.
    """

    name: str
    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    weights: NDArray[np.float32]
    triangles: NDArray[np.int32]
    region: NDArray[np.int64]
    part: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"Surface({self.name!r}, vertices={len(self.vertices)}, triangles={len(self.triangles)})"


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """A body in one moment: bone rotations (B, 3, 3) and heads (B, 3) in the world."""

    rotations: NDArray[np.float64]
    heads: NDArray[np.float64]


class Body:
    """One body shape with the garments fitted to it."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.arrays: dict[str, NDArray] = {name: file[name] for name in file.files if name != "params"}
            self.params: str = str(file["params"])
        self.vertices: NDArray[np.float32] = self.arrays["vertices"]
        self.bone_head: NDArray[np.float64] = self.arrays["bone_head"].astype(np.float64)
        self.leg_length = float(self.arrays["leg_length"])
        self.height = float(self.arrays["height"])

    def garment(self, name: str) -> NDArray[np.float32]:
        """Return the (Vg, 3) rest vertices of a garment on this body."""
        return self.arrays[f"garment_{name}"]


class Library:
    """The folder of bodies, garments and motions, loaded as asked for."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "topology.npz").is_file():
            raise UsageError(
                f"no synthetic bodies in {folder}: expected a folder with topology.npz, bodies/, garments/ "
                "and motions/; give it with --bodies"
            )
        self.folder = folder
        with np.load(folder / "topology.npz") as file:
            self.topology: dict[str, NDArray] = {name: file[name] for name in file.files}
        names = tuple(str(name) for name in self.topology["keypoint_names"])
        if names != COCO17.keypoints:
            raise UsageError(f"{folder}/topology.npz must list the COCO-17 keypoints in order, got {names}")
        self.parents: NDArray[np.int64] = self.topology["bone_parents"].astype(np.int64)
        self.bones = [str(name) for name in self.topology["bone_names"]]
        self.regions = [str(name) for name in self.topology["region_names"]]
        self.body_count = len(list((folder / "bodies").glob("body_*.npz")))
        self.garment_names = sorted(path.stem for path in (folder / "garments").glob("*.npz"))
        self.motion_names = sorted(path.stem for path in (folder / "motions").glob("*.npz"))
        self._bodies: dict[int, Body] = {}
        self._motions: dict[str, Motion] = {}
        self._garments: dict[str, dict[str, NDArray]] = {}

    @cached_property
    def body_weights(self) -> NDArray[np.float32]:
        """(V, B) skinning weights of the skin."""
        return dense_weights(self.topology["skin_index"], self.topology["skin_weight"], len(self.parents))

    def body(self, index: int) -> Body:
        """Return body `index` (0 to body_count - 1)."""
        if index not in self._bodies:
            self._bodies[index] = Body(self.folder / "bodies" / f"body_{index:02d}.npz")
        return self._bodies[index]

    def motion(self, name: str) -> Motion:
        """Return a motion clip by its name."""
        if name not in self._motions:
            if name not in self.motion_names:
                raise UsageError(
                    f"no motion {name!r} in {self.folder}/motions; there are {', '.join(self.motion_names)}"
                )
            self._motions[name] = load_motion(self.folder / "motions" / f"{name}.npz", self.bones)
        return self._motions[name]

    def garment(self, name: str) -> dict[str, NDArray]:
        """Return the arrays of a garment: triangles, weights, hides_body_vertex, vertex_component, …."""
        if name not in self._garments:
            with np.load(self.folder / "garments" / f"{name}.npz") as file:
                arrays: dict[str, NDArray] = {key: file[key] for key in file.files}
            arrays["weights"] = dense_weights(arrays["skin_index"], arrays["skin_weight"], len(self.parents))
            self._garments[name] = arrays
        return self._garments[name]

    def keypoints(self, pose: Pose, body_vertices: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the 17 keypoints (17, 3) of a posed body in the world, from its posed skin (V, 3)."""
        points = np.empty((17, 3))
        for index, (bone, vertices) in enumerate(
            zip(self.topology["keypoint_bone"], self.topology["keypoint_vertices"])
        ):
            points[index] = pose.heads[bone] if bone >= 0 else body_vertices[vertices[vertices >= 0]].mean(0)
        return points


def dense_weights(index: NDArray, weight: NDArray, bones: int) -> NDArray[np.float32]:
    """Return (V, B) skinning weights from the four strongest bones of each vertex (V, 4)."""
    dense = np.zeros((len(index), bones), np.float32)
    np.add.at(dense, (np.arange(len(index))[:, None], index.astype(np.int64)), weight.astype(np.float32))
    return dense


def vertex_normals(vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return smooth unit normals (V, 3): the area-weighted mean of the triangles around each vertex."""
    corner = vertices[triangles].astype(np.float64)
    face = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    total = np.stack(
        [np.bincount(triangles.reshape(-1), np.repeat(face[:, axis], 3), len(vertices)) for axis in range(3)],
        1,
    )
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def dress(library: Library, body_index: int, garments: Sequence[str]) -> list[Surface]:
    """Return the surfaces of a dressed body in rest pose, the skin first.

    Skin hidden under a garment is left out, so that it cannot poke through.
    """
    body, topology = library.body(body_index), library.topology
    hidden = np.zeros(len(body.vertices), bool)
    for name in garments:
        mask = library.garment(name)["hides_body_vertex"]
        hidden[: len(mask)] |= mask
    triangles = topology["triangles"]
    shown = ~hidden[triangles].all(1)
    part = topology["vertex_part"][triangles[:, 0]].astype(np.int64)
    surfaces = [
        Surface(
            "body",
            body.vertices,
            vertex_normals(body.vertices, triangles),
            library.body_weights,
            triangles[shown],
            topology["triangle_region"][shown].astype(np.int64),
            part[shown],
        )
    ]
    covered = any(name.startswith(("trousers", "suit")) for name in garments)
    surfaces.extend(
        _garment_surface(library, body, name, SHOE_PARTS if covered else SHOE_AND_SOCK_PARTS)
        for name in garments
    )
    return surfaces


def _garment_surface(library: Library, body: Body, name: str, shoe_parts: int) -> Surface:
    """Return a garment on a body; of shoes only the `shoe_parts` largest connected parts.

    The region of a garment's triangle is 0, of a sock's 1.
    """
    arrays, vertices = library.garment(name), body.garment(name)
    triangles = arrays["triangles"].astype(np.int32)
    weights = arrays["weights"]
    region = np.zeros(len(triangles), np.int64)
    if name.startswith("shoes"):
        component = arrays["vertex_component"][triangles[:, 0]]
        order = np.argsort(-np.bincount(arrays["vertex_component"]), kind="stable")
        kept = np.isin(component, order[:shoe_parts])
        triangles, region = triangles[kept], (~np.isin(component, order[:SHOE_PARTS])).astype(np.int64)[kept]
    part = weights[triangles[:, 0]].argmax(1).astype(np.int64)
    return Surface(name, vertices, vertex_normals(vertices, triangles), weights, triangles, region, part)


def sole_height(library: Library, body_index: int, garments: Sequence[str]) -> float:
    """Return how far the shoes reach below the bare feet, metres (>= 0): raise the person by this much."""
    body = library.body(body_index)
    lows = [-float(body.garment(name)[:, 1].min()) for name in garments if name.startswith("shoes")]
    return max([0.0, *lows])


def pose_bones(
    parents: NDArray[np.integer],
    bone_head: NDArray[np.floating],
    rotation: NDArray[np.floating],
    root: NDArray[np.floating],
) -> Pose:
    """Pose a skeleton.

    Args:
        parents: (B,) parent of each bone, -1 for the root, parents first.
        bone_head: (B, 3) rest heads.
        rotation: (B, 4) local quaternions (w, x, y, z); the identity is the rest pose.
        root: (3,) where the root's head goes.
    """
    local = rotation_matrices(rotation)
    rotations, heads = np.empty((len(parents), 3, 3)), np.empty((len(parents), 3))
    for bone, parent in enumerate(parents):
        if parent < 0:
            rotations[bone], heads[bone] = local[bone], root
        else:
            rotations[bone] = rotations[parent] @ local[bone]
            heads[bone] = heads[parent] + rotations[parent] @ (bone_head[bone] - bone_head[parent])
    return Pose(rotations, heads)


def skin(
    surface: Surface, bone_head: NDArray[np.floating], pose: Pose
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the posed vertices and unit normals, both (V, 3), by linear blend skinning."""
    shift = pose.heads - np.einsum("bij,bj->bi", pose.rotations, bone_head)
    bone = np.concatenate([pose.rotations.reshape(-1, 9), shift], 1).astype(np.float32)
    blend = surface.weights @ bone
    turn = blend[:, :9].reshape(-1, 3, 3)
    vertices = np.einsum("vij,vj->vi", turn, surface.vertices) + blend[:, 9:]
    normals = np.einsum("vij,vj->vi", turn, surface.normals)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return vertices, normals
