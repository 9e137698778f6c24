"""Every option of the command line once: its type, its spelling and its line of help."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from engine.settings import Mode, Precision, RuntimeName, SmoothingMethod, VideoDecoder

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        show_default=False,
        help="Video files; folders of videos; folders of images; patterns like 'day1/*.mp4'; or demo.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(metavar="DIR", show_default=False, help="Folder for the results; made where it is missing."),
]
DemoOut = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")]
AppSource = Annotated[
    str | None,
    typer.Argument(
        metavar="[SOURCE]",
        show_default=False,
        help="A video, a folder of images, a camera's number, a network address, or demo.",
    ),
]
LiveSource = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        show_default=False,
        help="A camera's number (0), /dev/videoN, or a network address; a file is played at its own pace.",
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", show_default="until Ctrl-C", help="End after so long."),
]
CleanVideo = Annotated[bool, typer.Option("--clean-video", help="Also write the video as it came.")]
Video = Annotated[bool, typer.Option("--video", help="Also write the video with people drawn into it.")]
DemoVideo = Annotated[
    bool, typer.Option("--video/--no-video", help="Write the video with people drawn into it.")
]
Raw = Annotated[bool, typer.Option("--raw", help="Add the keypoints before smoothing to the CSV.")]
KeepEmpty = Annotated[bool, typer.Option("--keep-empty", help="Write a row for frames without people.")]
Long = Annotated[bool, typer.Option("--long", help="One row per keypoint instead of one per person.")]
Results = Annotated[
    list[str],
    typer.Argument(
        metavar="RESULTS",
        show_default=False,
        help="CSVs that `track` or `live` wrote; folders of them; patterns like 'out/*.csv'.",
    ),
]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="NAME[,NAME]",
        show_default=False,
        help="csv-long, parquet, coco, openpose, posetrack, deeplabcut, sleap, trc, mot, sto or c3d; "
        "several with commas or by giving it again.",
    ),
]
Tracks = Annotated[
    list[int] | None,
    typer.Option("--track", metavar="ID", show_default=False, help="Only this person; may be given again."),
]
PxPerMetre = Annotated[
    float | None,
    typer.Option(
        metavar="PX",
        show_default="lengths in pixels",
        help="Pixels per metre where the people are, for trc and c3d.",
    ),
]
ReportOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        show_default="beside the CSV",
        help="Folder for the files; made where it is missing.",
    ),
]
ScalePoints = Annotated[
    str | None,
    typer.Option(
        metavar="x1,y1,x2,y2=METRES",
        show_default="lengths in pixels",
        help="Two points of the frame, in pixels, and the metres between them.",
    ),
]
BodyHeight = Annotated[
    str | None,
    typer.Option(
        "--height",
        metavar="ID=METRES",
        show_default=False,
        help="Height of one person, shoes included, who is upright in part of the frames.",
    ),
]
FacingChoice = Annotated[
    Literal["auto", "left", "right"],
    typer.Option(
        "--facing",
        help="Where people look in the picture, which flexion needs; auto finds it by their walking.",
    ),
]
Plots = Annotated[
    bool, typer.Option("--plots", help="Also draw paths, speeds, angles and who was visible: PNG and HTML.")
]
Ray = Annotated[
    str,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        show_default=False,
        help="Spread the inputs over a Ray cluster: HOST:PORT of its head, auto, or local.",
    ),
]
ModeChoice = Annotated[Mode, typer.Option(help="How people are found.")]
TopDownModel = Annotated[str, typer.Option(metavar="MODEL", help="Zoo name or ONNX file.")]
BottomUpModel = Annotated[
    str, typer.Option(metavar="MODEL", help="Zoo name or ONNX file; also finds people for top-down.")
]
RuntimeChoice = Annotated[RuntimeName, typer.Option(help="What runs the networks.")]
PrecisionChoice = Annotated[Precision, typer.Option(help="Arithmetic of the networks.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads of the runtime, 0 for all cores.")]
FindInterval = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0,
        show_default="chosen for this machine",
        help="Time between looks at the whole frame in top-down; 0 looks at every frame.",
    ),
]
Smoothing = Annotated[SmoothingMethod, typer.Option(help="Filter of each keypoint.")]
Offline = Annotated[
    bool, typer.Option("--offline", help="Smooth once more with the whole recording known; files only.")
]
FillGap = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0,
        show_default="0.5",
        help="With --offline: a keypoint unseen for at most so long is interpolated.",
    ),
]
MinTrack = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0,
        show_default="0.3",
        help="With --offline: people seen for a shorter time are dropped.",
    ),
]
Fps = Annotated[float, typer.Option(help="Frame rate of image folders.")]
Stills = Annotated[
    bool, typer.Option("--stills", help="Take the images of a folder as independent pictures.")
]
Decoder = Annotated[
    VideoDecoder,
    typer.Option(help="Where video files are decoded: nvdec is an NVIDIA GPU; auto takes it where it can."),
]
Jobs = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Inputs done at once, each in a process of its own; 0 takes what suits cores and inputs.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Skip what is done, by content, settings and models; do again what was begun or is of others.",
    ),
]
MaxPeople = Annotated[
    int | None, typer.Option(min=1, help="At most this many people per frame; 30 unless given.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Say what was chosen and how long it took; twice: everything, with tracebacks.",
    ),
]
ModelName = Annotated[
    str, typer.Argument(metavar="NAME", show_default=False, help="Zoo name, alias or ONNX file.")
]
CompileRuntime = Annotated[
    Literal["auto", "tensorrt", "tensorrt-rtx"],
    typer.Option(help="What the plan is for; auto takes TensorRT where it is installed, else TensorRT-RTX."),
]
CompilePrecision = Annotated[
    Literal["auto", "fp32", "fp16", "int8"], typer.Option(help="Arithmetic of the plan; auto is fp16.")
]
CalibrationFolder = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="DIR",
        show_default="the demo clip",
        help="Pictures like those the model will see, from which int8 takes its ranges.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Build it even if it is there already.")]
PublishedNames = Annotated[
    list[str],
    typer.Argument(metavar="NAME", show_default=False, help="Published models, as `models list` names them."),
]
DownloadedNames = Annotated[
    list[str], typer.Argument(metavar="NAME", show_default=False, help="Models that were downloaded.")
]
CheckpointFile = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        show_default=False,
        help="Take this file, fetched by other means, instead of the network; it is checked and left alone.",
    ),
]
KeepCheckpoint = Annotated[
    bool, typer.Option("--keep-checkpoint", help="Do not delete the checkpoint after it is converted.")
]
JsonOnStdout = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", show_default=False, help="Also write the numbers to this file."),
]
Window = Annotated[
    bool,
    typer.Option(
        "--window", help="Instead: open the desktop app on the demo clip and measure what it shows and when."
    ),
]
BenchSubject = Annotated[
    Literal["path", "gpu", "smoothing"],
    typer.Argument(
        metavar="[WHAT]",
        help="path: stages, networks, the whole and its errors; gpu: every stage on the NVIDIA GPU; "
        "smoothing: jitter, error and lag of every way of it.",
    ),
]
Soak = Annotated[
    float | None,
    typer.Option(
        metavar="MINUTES",
        show_default=False,
        help="Instead: track so many minutes of video made of the demo clip and watch the memory.",
    ),
]
TrackResults = Annotated[
    Path,
    typer.Argument(
        metavar="RESULTS",
        show_default=False,
        help="A CSV that track or live wrote, its sidecar beside it, or a folder of them.",
    ),
]
TrackTruth = Annotated[
    Path,
    typer.Argument(
        metavar="TRUTH",
        show_default=False,
        help="A CSV, a COCO file with track ids, a PoseTrack18 file, or a folder of them.",
    ),
]
Similarity = Annotated[
    Literal["oks", "iou"],
    typer.Option(help="What makes two people the same: their poses (oks) or their boxes (iou), from 0.5 on."),
]
FirstFrame = Annotated[
    int, typer.Option(metavar="N", help="Number that the truth gives the first frame of a source.")
]
