import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engine.errors import SinkError
from engine.priority import BACKGROUND
from engine.sinks import annotated_video
from engine.sinks.annotated_video import FILE_ENCODING, LIVE_ENCODING, AnnotatedVideoSink, Encoding
from engine.skeleton import COCO17, Skeleton
from engine.sources import SourceInfo, open_source
from engine.structures import Frame, Result, TrackedPerson

MakeResult, MakeInfo, Person = Callable[..., Result], Callable[..., SourceInfo], Callable[..., TrackedPerson]
TREE = Path(__file__).parents[3]


def write(
    path: Path,
    skeleton: Skeleton,
    info: SourceInfo,
    results: list[Result],
    *,
    encoding: Encoding = FILE_ENCODING,
) -> list[Frame]:
    """Write a video and read it back."""
    sink = AnnotatedVideoSink(path, skeleton, info, encoding=encoding)
    for result in results:
        sink.write(result)
    sink.close()
    with open_source(path) as source:
        frames = list(source)
        assert (source.frames_dropped, source.warnings) == (0, [])
        return frames


def test_every_frame_is_there_with_its_time(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, make_result: MakeResult
):
    results = [make_result(index, grey=40 + 5 * index) for index in range(30)]
    frames = write(tmp_path / "a.mp4", stick, make_info(), results)
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(30)], abs=1e-5)
    assert [float(frame.image.mean()) for frame in frames] == pytest.approx(
        [40 + 5 * index for index in range(30)], abs=4
    )


def test_a_variable_rate_stays_one(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, make_result: MakeResult
):
    times = [0.0, 0.01, 0.2, 0.2334, 1.0, 3.5, 3.51]
    results = [make_result(index, time_s=time_s) for index, time_s in enumerate(times)]
    frames = write(tmp_path / "a.mp4", stick, make_info(), results)
    assert [frame.time_s for frame in frames] == pytest.approx(times, abs=1e-5)


def test_a_first_frame_that_is_late_stays_late_on_the_files_clock(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, make_result: MakeResult
):
    write(tmp_path / "a.mp4", stick, make_info(), [make_result(5), make_result(6)])
    with open_source(tmp_path / "a.mp4") as source:
        assert source.info.start_s == pytest.approx(0.2)


def test_two_frames_of_one_time_do_not_end_the_video(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, make_result: MakeResult
):
    results = [make_result(index, time_s=time_s) for index, time_s in enumerate([0.0, 0.04, 0.04, 0.08])]
    assert len(write(tmp_path / "a.mp4", stick, make_info(), results)) == 4


@pytest.mark.parametrize("size", [(97, 128), (96, 131), (33, 35)])
def test_odd_sizes_are_padded_to_even_ones(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, make_result: MakeResult, size: tuple[int, int]
):
    results = [make_result(index, size=size, grey=180) for index in range(3)]
    frames = write(tmp_path / "a.mp4", stick, make_info(size), results)
    assert frames[0].image.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    assert frames[1].image[-1].mean() == pytest.approx(180, abs=4)


def test_stills_of_other_sizes_are_scaled_into_the_first(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, make_result: MakeResult
):
    results = [make_result(index, size=(96 + 10 * index, 200), time_s=index) for index in range(3)]
    frames = write(tmp_path / "a.mp4", stick, make_info(fps=None), results)
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1, 2])
    assert {frame.image.shape for frame in frames} == {(96, 128, 3)}


@pytest.mark.parametrize("encoding", [FILE_ENCODING, LIVE_ENCODING], ids=["file", "live"])
@pytest.mark.parametrize("size", [(96, 128), (720, 1280)], ids=["BT.601", "BT.709"])
def test_colours_survive(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, size: tuple[int, int], encoding: Encoding
):
    image = np.zeros((*size, 3), np.uint8)
    colours = [(200, 40, 30), (30, 200, 60), (20, 40, 220), (128, 128, 128)]
    for place, colour in enumerate(colours):
        image[:, place * size[1] // 4 : (place + 1) * size[1] // 4] = colour
    results = [Result(Frame(image, index, index / 25), ()) for index in range(2)]
    frames = write(tmp_path / "a.mp4", stick, make_info(size), results, encoding=encoding)
    for place, colour in enumerate(colours):
        seen = frames[1].image[size[0] // 2, size[1] * (2 * place + 1) // 8]
        assert seen.tolist() == pytest.approx(colour, abs=8)


def test_a_large_live_video_says_that_its_matrix_is_that_of_small_ones(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo
):
    image = np.zeros((720, 1280, 3), np.uint8)
    for encoding, matrix in ((FILE_ENCODING, 1), (LIVE_ENCODING, 6)):
        path = tmp_path / f"{matrix}.mp4"
        write(path, stick, make_info((720, 1280)), [Result(Frame(image, 0, 0.0), ())], encoding=encoding)
        with av.open(str(path)) as video:
            frame = next(video.decode(video=0))
            assert (frame.colorspace, frame.color_range) == (matrix, 1)
            assert video.streams.video[0].codec_context.color_primaries == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
@pytest.mark.parametrize(("encoding", "stands_back"), [(FILE_ENCODING, False), (LIVE_ENCODING, True)])
def test_only_the_encoder_of_a_live_view_stands_back(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, encoding: Encoding, stands_back: bool
):
    sink = AnnotatedVideoSink(tmp_path / "a.mp4", stick, make_info(), encoding=encoding)
    sink.write(Result(Frame(np.zeros((96, 128, 3), np.uint8), 0, 0.0), ()))
    deadline = time.monotonic() + 10
    while sink._waiting and time.monotonic() < deadline:
        time.sleep(0.005)
    own = os.getpriority(os.PRIO_PROCESS, sink._thread.native_id or 0)
    sink.close()
    assert own == (BACKGROUND if stands_back else os.getpriority(os.PRIO_PROCESS, 0))


def test_people_are_drawn_on_their_own_frame(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, make_result: MakeResult, make_person: Person
):
    results = [make_result(index, make_person(2, x=20 + 8 * index)) for index in range(10)]
    frames = write(tmp_path / "a.mp4", stick, make_info(), results)
    for index, frame in enumerate(frames):
        ink = np.abs(frame.image.astype(int) - 60).max(axis=2) > 40
        columns = np.flatnonzero(ink[30:80].any(axis=0))
        assert columns.mean() == pytest.approx(20 + 8 * index, abs=2)


def test_a_clean_video_has_the_same_frames_without_people(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, make_result: MakeResult, make_person: Person
):
    sink = AnnotatedVideoSink(tmp_path / "a.mp4", stick, make_info(), annotate=False)
    for index in range(5):
        sink.write(make_result(index, make_person(2), grey=60 + 20 * index))
    sink.close()
    with open_source(tmp_path / "a.mp4") as source:
        frames = list(source)
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(5)])
    for index, frame in enumerate(frames):
        assert np.abs(frame.image.astype(int) - (60 + 20 * index)).max() < 12


def test_an_offer_is_refused_while_the_encoder_is_behind_and_never_waits(
    tmp_path: Path,
    stick: Skeleton,
    make_info: MakeInfo,
    make_result: MakeResult,
    monkeypatch: pytest.MonkeyPatch,
):
    gate, draw_people = threading.Event(), annotated_video.draw_people
    monkeypatch.setattr(annotated_video, "draw_people", lambda *given: (gate.wait(5), draw_people(*given))[1])
    sink = AnnotatedVideoSink(tmp_path / "a.mp4", stick, make_info(), encoding=LIVE_ENCODING)
    taken = [sink.offer(make_result(index)) for index in range(40)]
    gate.set()
    sink.close()
    assert taken[: LIVE_ENCODING.depth] == [True] * LIVE_ENCODING.depth
    # One more while the encoder holds the first, whenever it begins.
    assert sum(taken) <= LIVE_ENCODING.depth + 1
    with open_source(tmp_path / "a.mp4") as source:
        assert len(list(source)) == sum(taken)


def test_an_offer_after_a_failure_raises_it(tmp_path: Path, make_info: MakeInfo, make_result: MakeResult):
    sink = AnnotatedVideoSink(tmp_path / "a.mp4", COCO17, make_info())
    sink._fail(SinkError("the disk is full"))
    with pytest.raises(SinkError, match="the disk is full"):
        sink.offer(make_result(0))
    with pytest.raises(SinkError, match="the disk is full"):
        sink.close()


def test_an_offered_frame_stands_where_it_is_told_to(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, make_result: MakeResult
):
    sink = AnnotatedVideoSink(tmp_path / "a.mp4", stick, make_info(), encoding=LIVE_ENCODING)
    for index in range(4):
        assert sink.offer(make_result(90_000 + index), index / 10)
    sink.close()
    with open_source(tmp_path / "a.mp4") as source:
        assert source.info.start_s == 0
        assert [frame.time_s for frame in source] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_slow_live_view_has_a_key_frame_every_second_all_the_same(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, make_result: MakeResult
):
    sink = AnnotatedVideoSink(tmp_path / "a.mp4", stick, make_info(fps=60.0), encoding=LIVE_ENCODING)
    for index in range(40):
        sink.write(make_result(index, time_s=index / 8))
    sink.close()
    with av.open(str(tmp_path / "a.mp4")) as container:
        keys = [float(packet.pts * packet.time_base) for packet in container.demux() if packet.is_keyframe]
    assert keys == pytest.approx([0, 1, 2, 3, 4])


def test_other_programs_read_it(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, make_result: MakeResult
):
    write(tmp_path / "a.mp4", stick, make_info(), [make_result(index) for index in range(20)])
    reader = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == 20
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(25)
    reader.release()


def test_an_encoder_that_is_missing_is_named_before_anything_is_made(
    tmp_path: Path, stick: Skeleton, make_info: MakeInfo, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("engine.sinks.annotated_video.ENCODER", "no_such_encoder")
    with pytest.raises(SinkError, match="needs the encoder no_such_encoder"):
        AnnotatedVideoSink(tmp_path / "a.mp4", stick, make_info())
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_thread_reaches_the_writer(
    tmp_path: Path, make_info: MakeInfo, make_result: MakeResult, make_person: Person
):
    sink = AnnotatedVideoSink(tmp_path / "a.mp4", COCO17, make_info())

    def write_on_and_on() -> None:
        for index in range(1000):
            sink.write(make_result(index, make_person()))

    with pytest.raises(SinkError, match=r"shape \(17, 2\)"):
        write_on_and_on()
    with pytest.raises(SinkError):
        sink.close()
    sink.close()


WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import numpy as np
    from engine.sinks.annotated_video import AnnotatedVideoSink
    from engine.skeleton import COCO17
    from engine.sources import SourceInfo
    from engine.structures import Frame, Result

    info = SourceInfo("a", None, (48, 64), 25.0, None, None)
    sink = AnnotatedVideoSink(Path(sys.argv[1]), COCO17, info)
    noise = np.random.default_rng(0)
    for index in range(10**9):
        image = noise.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        sink.write(Result(Frame(image, index, index / 25), ()))
        if index == 400:
            print("ready", flush=True)
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_process_leaves_a_video_that_plays(tmp_path: Path):
    path = tmp_path / "a.mp4"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=TREE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    with open_source(path) as source:
        assert len(list(source)) >= 250


QUIET_WRITER = WRITER.replace(
    "noise.integers(0, 255, (48, 64, 3), dtype=np.uint8)", "np.zeros((48, 64, 3), np.uint8)"
)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_video_of_few_bytes_does_not_wait_for_a_buffer_to_fill(tmp_path: Path):
    path = tmp_path / "a.mp4"
    command = [sys.executable, "-c", QUIET_WRITER, str(path)]
    process = subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    with open_source(path) as source:
        assert len(list(source)) >= 250
