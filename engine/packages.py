"""Which distributions are installed in this environment."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def installed_version(package: str) -> str | None:
    """Return the version of a distribution, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those distributions that are installed, in order."""
    found = ((package, installed_version(package)) for package in packages)
    return {package: number for package, number in found if number is not None}
