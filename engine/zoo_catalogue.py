"""The catalogue: published networks that can be downloaded, as data.

One row is one checkpoint of MMPose's public store. Names, addresses, hash prefixes and figures are those of
the documentation of MMPose 0.x; each group of rows names the page it mirrors (repository open-mmlab/mmpose,
below ``configs/body/2d_kpt_sview_rgb_img``; the ``.yml`` beside each page has the same). Eight hexadecimal
digits in a file's name begin its SHA-256. Left out are hourglass-52, a third architecture beside those of
princeton-vl and bearpaw; UDP's networks of offsets (`*_udp_regress`), which no decoder here reads; and
networks whose keypoints have no skeleton here.

The two hourglasses of princeton-vl/pytorch_stacked_hourglass (its README.md) are published without a hash and
over an open connection: they are converted from a file at hand, not fetched.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.geometry import Convention
from engine.model_file import DecodeMethod, HeatmapOutput, ModelSpec, TagOutput
from engine.skeleton import SKELETONS

MMPOSE_STORE = "https://download.openmmlab.com/mmpose/"
"""Where the files of the catalogue lie; a mirror has the same paths below its own address."""

PAGES = "open-mmlab/mmpose configs/body/2d_kpt_sview_rgb_img"

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

LICENCES = {
    "coco": "Apache-2.0",
    "crowdpose": "Apache-2.0; data for research",
    "mpii": "Apache-2.0; data for research",
    "posetrack18": "Apache-2.0; data under its own terms",
    "princeton": "BSD-3-Clause; data for research",
}
"""Licence of the code that the weights are published with; the terms of their data are in `TERMS`."""

TERMS = {
    "coco": "COCO train2017 (annotations CC BY 4.0, photographs under the terms of Flickr)",
    "crowdpose": "CrowdPose (its pictures are from COCO, MPII and AI Challenger, under their terms; MPII's "
    "exclude commercial use)",
    "mpii": "MPII Human Pose (for research; commercial use is not allowed)",
    "posetrack18": "COCO train2017, then PoseTrack18 (under its own terms)",
}

JUDGED = {
    "top-down coco": "COCO val2017, boxes of a detector of person AP 56.4, flip test",
    "bottom-up coco": "COCO val2017, one scale, flip test",
    "top-down crowdpose": "CrowdPose test, boxes of a YOLOv3 detector, flip test",
    "bottom-up crowdpose": "CrowdPose test, one scale, flip test",
    "top-down mpii": "MPII val, truth boxes, flip test",
    "top-down posetrack18": "PoseTrack18 val, truth boxes, flip test",
}

PAPERS = {
    "hrnet": "Sun et al. 2019, Deep High-Resolution Representation Learning for Human Pose Estimation",
    "dark": "Zhang et al. 2020, Distribution-Aware Coordinate Representation for Human Pose Estimation",
    "udp": "Huang et al. 2020, The Devil is in the Details: Delving into Unbiased Data Processing",
    "higherhrnet": "Cheng et al. 2020, HigherHRNet: Scale-Aware Representation Learning for Bottom-Up Human "
    "Pose Estimation",
    "hourglass": "Newell et al. 2016, Stacked Hourglass Networks for Human Pose Estimation",
}


class PublishedModel(BaseModel):
    """One published checkpoint and all that a model file made of it needs to say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: str = ""
    """Below the store; empty for a file that is not fetched but given by hand."""
    sha256_prefix: str = Field("", pattern=r"^[0-9a-f]{0,64}$")
    page: str
    """Where it is documented."""
    kind: Literal["top-down", "bottom-up"]
    architecture: str
    """Name for `train.models.build_model`."""
    architecture_options: dict[str, Any] = Field(default_factory=dict)
    skeleton: str
    """Name in `engine.skeleton.SKELETONS`."""
    input_size: tuple[int, int]
    """(height, width)."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    convention: Convention
    decoder: DecodeMethod
    heatmap_sigma: float = 2.0
    accuracy: dict[str, float]
    """As published; `judged_on` says on what."""
    judged_on: str
    licence: str
    training_data: str
    """With the terms of the data."""
    paper: str

    @property
    def state(self) -> Literal["available", "by hand"]:
        """Whether it can be fetched, or only be converted from a file at hand."""
        return "available" if self.path else "by hand"

    @property
    def file_name(self) -> str:
        """Name of the checkpoint in the store."""
        return self.path.rsplit("/", 1)[-1]

    def url(self, store: str = MMPOSE_STORE) -> str:
        """Return the address of the checkpoint below a store's address."""
        return f"{store.rstrip('/')}/{self.path}"

    def describe(self) -> dict[str, object]:
        """Return what is worth showing or writing as JSON, in the words of `zoo.ZooEntry.describe`."""
        skeleton = SKELETONS[self.skeleton]
        return {
            "name": self.name,
            "state": self.state,
            "aliases": [],
            "kind": self.kind,
            "architecture": self.architecture,
            "input_size": list(self.input_size),
            "dynamic_size": self.kind == "bottom-up",
            "skeleton": skeleton.name,
            "keypoints": skeleton.count,
            "accuracy": self.accuracy,
            "judged_on": self.judged_on,
            "licence": self.licence,
            "training_data": self.training_data,
            "paper": self.paper,
            "convention": self.convention,
            "decoder": self.decoder,
            "heatmap_sigma": self.heatmap_sigma,
            "url": self.url() if self.path else None,
            "sha256_prefix": self.sha256_prefix,
            "documented": self.page,
        }

    def spec(self, checkpoint_sha256: str) -> ModelSpec:
        """Return the description for a model file made of this checkpoint."""
        top_down = self.kind == "top-down"
        return ModelSpec(
            name=self.name,
            architecture=self.architecture,
            kind=self.kind,
            input_size=self.input_size,
            dynamic_size=not top_down,
            mean=self.mean,
            std=self.std,
            heatmap_outputs=(HeatmapOutput(name="heatmaps", stride=4),)
            if top_down
            else (HeatmapOutput(name="heatmaps_0", stride=4), HeatmapOutput(name="heatmaps_1", stride=2)),
            tag_outputs=() if top_down else (TagOutput(name="tags_0", stride=4),),
            convention=self.convention,
            decoder=self.decoder,
            heatmap_sigma=self.heatmap_sigma,
            skeleton=SKELETONS[self.skeleton],
            licence=self.licence,
            training_data=self.training_data
            + (f"; accuracy as published, on {self.judged_on}" if self.accuracy else ""),
            accuracy=self.accuracy,
            checkpoint_sha256=checkpoint_sha256,
        )


Row = tuple[str, tuple[float, ...]]
"""Name of a checkpoint without ``.pth``, and its published figures in the order of its page."""

DECODING: dict[str, tuple[Convention, DecodeMethod]] = {
    "hrnet": ("hrnet", "quarter"),
    "dark": ("hrnet", "dark"),
    "udp": ("udp", "udp"),
}
"""By the kind of targets: MMPose crops for DARK as it does for HRNet."""

DATA_SETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "coco": ("coco17", ("ap", "ap50", "ap75", "ar")),
    "crowdpose": ("crowdpose14", ("ap", "ap50", "ap75")),
    "mpii": ("mpii16", ("pckh", "pckh@0.1")),
    "posetrack18": ("posetrack17", ("map",)),
}
"""Data set in a checkpoint's name to skeleton and names of its figures."""


def _top_down(
    page: str, folder: str, targets: Literal["hrnet", "dark", "udp"], *rows: Row
) -> list[PublishedModel]:
    """Make rows of top-down HRNets, called like `hrnet_w32_coco_256x192_dark-07f147eb_20200812`."""
    return [_make_row(page, f"top_down/{folder}", "top-down", targets, row) for row in rows]


def _bottom_up(page: str, targets: Literal["hrnet", "udp"], *rows: Row) -> list[PublishedModel]:
    """Make rows of HigherHRNets, called like `higher_hrnet32_coco_512x512-8ae85183_20200713`."""
    return [_make_row(page, "bottom_up", "bottom-up", targets, row) for row in rows]


def _make_row(
    page: str, folder: str, kind: Literal["top-down", "bottom-up"], targets: str, row: Row
) -> PublishedModel:
    checkpoint, figures = row
    stem, tail = checkpoint.rsplit("-", 1)
    stem = stem.replace("higher_hrnet", "higherhrnet_w")
    family, width, data, size, *_ = stem.split("_")
    height, breadth = (int(side) for side in size.split("x"))
    convention, decoder = DECODING[targets]
    skeleton, names = DATA_SETS[data]
    return PublishedModel(
        name=stem.replace("_", "-"),
        path=f"{folder}/{checkpoint}.pth",
        sha256_prefix=tail.split("_")[0],
        page=f"{PAGES}/{page}",
        kind=kind,
        architecture=f"{family}_{width}",
        skeleton=skeleton,
        input_size=(height, breadth),
        convention=convention,
        decoder=decoder,
        heatmap_sigma=3.0 if (height, breadth) == (384, 288) else 2.0,
        accuracy=dict(zip(names, figures, strict=True)),
        judged_on=JUDGED[f"{kind} {data}"],
        licence=LICENCES[data],
        training_data=TERMS[data],
        paper=PAPERS["higherhrnet" if kind == "bottom-up" else targets],
    )


def _princeton(stacks: int, accuracy: float) -> PublishedModel:
    """Make a row of princeton-vl's hourglass, whose input is RGB in [0, 1] and whose targets are floored."""
    return PublishedModel(
        name=f"hourglass-{stacks}-mpii-256x256-princeton",
        page="princeton-vl/pytorch_stacked_hourglass README.md, pretrained models",
        kind="top-down",
        architecture="hourglass",
        architecture_options={"stacks": stacks, "variant": "princeton"},
        skeleton="mpii16",
        input_size=(256, 256),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        convention="half-pixel",
        decoder="quarter",
        heatmap_sigma=1.0,
        accuracy={"pckh": accuracy},
        judged_on=JUDGED["top-down mpii"],
        licence=LICENCES["princeton"],
        training_data=TERMS["mpii"],
        paper=PAPERS["hourglass"],
    )


_ROWS = (
    *_top_down(
        "topdown_heatmap/coco/hrnet_coco.md",
        "hrnet",
        "hrnet",
        ("hrnet_w32_coco_256x192-c78dce93_20200708", (0.746, 0.904, 0.819, 0.799)),
        ("hrnet_w32_coco_384x288-d9f0d786_20200708", (0.760, 0.906, 0.829, 0.810)),
        ("hrnet_w48_coco_256x192-b9e0b3ab_20200708", (0.756, 0.907, 0.825, 0.806)),
        ("hrnet_w48_coco_384x288-314c8528_20200708", (0.767, 0.910, 0.831, 0.816)),
    ),
    *_top_down(
        "topdown_heatmap/coco/hrnet_dark_coco.md",
        "hrnet",
        "dark",
        ("hrnet_w32_coco_256x192_dark-07f147eb_20200812", (0.757, 0.907, 0.823, 0.808)),
        ("hrnet_w32_coco_384x288_dark-307dafc2_20210203", (0.766, 0.907, 0.831, 0.815)),
        ("hrnet_w48_coco_256x192_dark-8cba3197_20200812", (0.764, 0.907, 0.830, 0.814)),
        ("hrnet_w48_coco_384x288_dark-e881a4b6_20210203", (0.772, 0.910, 0.836, 0.820)),
    ),
    *_top_down(
        "topdown_heatmap/coco/hrnet_udp_coco.md",
        "udp",
        "udp",
        ("hrnet_w32_coco_256x192_udp-aba0be42_20210220", (0.760, 0.907, 0.827, 0.811)),
        ("hrnet_w32_coco_384x288_udp-e97c1a0f_20210223", (0.769, 0.908, 0.833, 0.817)),
        ("hrnet_w48_coco_256x192_udp-2554c524_20210223", (0.767, 0.906, 0.834, 0.817)),
        ("hrnet_w48_coco_384x288_udp-0f89c63e_20210223", (0.772, 0.910, 0.835, 0.820)),
    ),
    *_top_down(
        "topdown_heatmap/coco/hrnet_augmentation_coco.md",
        "augmentation",
        "hrnet",
        ("hrnet_w32_coco_256x192_coarsedropout-0f16a0ce_20210320", (0.753, 0.908, 0.822, 0.806)),
        ("hrnet_w32_coco_256x192_gridmask-868180df_20210320", (0.752, 0.906, 0.825, 0.804)),
        ("hrnet_w32_coco_256x192_photometric-308cf591_20210320", (0.753, 0.909, 0.825, 0.805)),
    ),
    *_top_down(
        "topdown_heatmap/crowdpose/hrnet_crowdpose.md",
        "hrnet",
        "hrnet",
        ("hrnet_w32_crowdpose_256x192-960be101_20201227", (0.675, 0.825, 0.729)),
    ),
    *_top_down(
        "topdown_heatmap/mpii/hrnet_mpii.md",
        "hrnet",
        "hrnet",
        ("hrnet_w32_mpii_256x256-6c4f923f_20200812", (0.900, 0.334)),
        ("hrnet_w48_mpii_256x256-92cab7bd_20200812", (0.901, 0.337)),
    ),
    *_top_down(
        "topdown_heatmap/mpii/hrnet_dark_mpii.md",
        "hrnet",
        "dark",
        ("hrnet_w32_mpii_256x256_dark-f1601c5b_20200927", (0.904, 0.354)),
        ("hrnet_w48_mpii_256x256_dark-0decd39f_20200927", (0.905, 0.360)),
    ),
    *_top_down(
        "topdown_heatmap/posetrack18/hrnet_posetrack18.md",
        "hrnet",
        "hrnet",
        ("hrnet_w32_posetrack18_256x192-1ee951c4_20201028", (0.830,)),
    ),
    *_bottom_up(
        "associative_embedding/coco/higherhrnet_coco.md",
        "hrnet",
        ("higher_hrnet32_coco_512x512-8ae85183_20200713", (0.677, 0.870, 0.738, 0.723)),
        ("higher_hrnet32_coco_640x640-a22fe938_20200712", (0.686, 0.871, 0.747, 0.733)),
        ("higher_hrnet48_coco_512x512-60fedcbc_20200712", (0.686, 0.873, 0.741, 0.731)),
    ),
    *_bottom_up(
        "associative_embedding/coco/higherhrnet_udp_coco.md",
        "udp",
        ("higher_hrnet32_coco_512x512_udp-8cc64794_20210222", (0.678, 0.862, 0.736, 0.724)),
        ("higher_hrnet48_coco_512x512_udp-7cad61ef_20210222", (0.690, 0.872, 0.750, 0.734)),
    ),
    *_bottom_up(
        "associative_embedding/crowdpose/higherhrnet_crowdpose.md",
        "hrnet",
        ("higher_hrnet32_crowdpose_512x512-1aa4a132_20201017", (0.655, 0.859, 0.705)),
    ),
    _princeton(2, 0.885),
    _princeton(8, 0.901),
)

CATALOGUE: dict[str, PublishedModel] = {row.name: row for row in _ROWS}
"""Name to published model."""
