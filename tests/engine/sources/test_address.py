import pytest

from engine.sources.address import mask_address, scheme_of


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://camera/live", "rtsp://camera/live"),
        ("rtsp://anna:s3cret@camera:554/live", "rtsp://***@camera:554/live"),
        ("rtsp://anna:p@ss@camera/live", "rtsp://***@camera/live"),
        ("http://token@camera/video", "http://***@camera/video"),
        ("http://camera/v?user=anna&pwd=s3cret&width=640", "http://camera/v?user=***&pwd=***&width=640"),
        (
            "rtsp://camera/user=anna_password=s3cret_channel=1",
            "rtsp://camera/user=***_password=***_channel=1",
        ),
        ("srt://camera:9000?passphrase=s3cret&latency=20", "srt://camera:9000?passphrase=***&latency=20"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str):
    assert mask_address(address) == shown
    assert mask_address(shown) == shown


def test_an_address_is_told_from_a_path_by_its_scheme():
    assert scheme_of("RTSP://camera/live") == "rtsp"
    assert [scheme_of(text) for text in ("clip.mp4", "/tmp/a", "0", "C:\\clip.mp4", "http:clip.mp4")] == [
        None
    ] * 5
