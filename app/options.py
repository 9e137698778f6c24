"""Every option of the command line once: its type, its spelling and its line of help."""

from pathlib import Path
from typing import Annotated

import typer

from engine.settings import Mode, Precision, RuntimeName, SmoothingMethod

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
Fps = Annotated[float, typer.Option(help="Frame rate of image folders.")]
Stills = Annotated[
    bool, typer.Option("--stills", help="Take the images of a folder as independent pictures.")
]
MaxPeople = Annotated[int, typer.Option(min=1, help="At most this many people per frame.")]
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
Soak = Annotated[
    float | None,
    typer.Option(
        metavar="MINUTES",
        show_default=False,
        help="Instead: track so many minutes of video made of the demo clip and watch the memory.",
    ),
]
