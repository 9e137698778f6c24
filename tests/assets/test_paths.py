from assets import asset_path, demo_clip, demo_truth, models_dir


def test_bundled_files_lie_in_the_package() -> None:
    assert (asset_path() / "__init__.py").is_file()
    assert models_dir().is_dir()


def test_demo_files_are_named_once() -> None:
    assert demo_clip().parent == demo_truth().parent == asset_path()
    assert demo_clip().name == "demo.mp4" and demo_truth().name == "demo_truth.csv"
