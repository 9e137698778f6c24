import numpy as np

from engine.packages import installed_version, installed_versions


def test_versions_are_told_of_what_is_installed_and_of_nothing_else() -> None:
    assert installed_version("numpy") == np.__version__
    assert installed_version("no-such-distribution") is None
    assert installed_versions(("no-such-distribution", "numpy")) == {"numpy": np.__version__}
