from pathlib import Path
from types import SimpleNamespace

import av
import pytest

import engine.sources.container
from assets import demo_clip
from engine.cuda.driver import driver_state
from engine.errors import SourceError
from engine.sources import open_source
from engine.sources.container import open_container

without_gpu = pytest.mark.skipif(bool(driver_state().devices), reason="there is an NVIDIA GPU")


class FakeContainer(SimpleNamespace):
    """A container as PyAV gives it where a GPU decodes, as far as `open_container` looks at it."""

    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[FakeContainer]:
    """Let PyAV open fakes, which the GPU decodes if it was asked for; returns all that were opened."""
    containers: list[FakeContainer] = []

    def fake_open(name: str, *, container_options: dict[str, str], hwaccel: object) -> FakeContainer:
        context = SimpleNamespace(is_hwaccel=hwaccel is not None and "codec" not in name, name="h264")
        containers.append(
            FakeContainer(
                format=SimpleNamespace(name="mp4"),
                streams=SimpleNamespace(video=[SimpleNamespace(codec_context=context)]),
            )
        )
        return containers[-1]

    monkeypatch.setattr(engine.sources.container.av, "open", fake_open)
    return containers


@pytest.mark.parametrize("decoder", ["nvdec", "auto"])
def test_a_gpu_that_can_decode_a_video_does(decoder: str, opened: list[FakeContainer]) -> None:
    container = open_container(Path("clip.mp4"), decoder)
    assert opened == [container] and container.streams.video[0].codec_context.is_hwaccel
    assert not container.closed


def test_a_codec_that_the_gpu_does_not_know_is_decoded_in_software_or_refused(
    opened: list[FakeContainer],
) -> None:
    assert not open_container(Path("codec.mp4"), "auto").closed
    with pytest.raises(SourceError, match="does not know h264; choose the decoder software or auto"):
        open_container(Path("codec.mp4"), "nvdec")
    assert opened[-1].closed


@without_gpu
def test_without_a_gpu_nvdec_is_refused_and_auto_decodes_in_software(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    with pytest.raises(SourceError, match="cannot be decoded on an NVIDIA GPU"):
        open_source(demo_clip(), decoder="nvdec")
    with open_source(demo_clip(), decoder="auto") as source:
        frame = next(iter(source))
    with open_source(demo_clip()) as source:
        assert (next(iter(source)).image == frame.image).all()
    assert "decoded in software" in caplog.text


@pytest.mark.parametrize("decoder", ["software", "auto", "nvdec"])
def test_a_file_that_is_no_video_is_said_to_be_none_whatever_decodes(decoder: str, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    with pytest.raises(SourceError, match="is no video"):
        open_source(tmp_path / "notes.mp4", decoder=decoder)


def test_pyav_takes_the_settings_for_the_gpu_as_they_are_given() -> None:
    settings = av.codec.hwaccel.HWAccel("cuda", allow_software_fallback=True)
    assert settings.is_hw_owned is False and settings.allow_software_fallback is True
    assert [config.device_type.name for config in av.codec.Codec("h264", "r").hardware_configs] == ["cuda"]
