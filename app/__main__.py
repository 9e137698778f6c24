"""Entry point of the `steadypose` command; `python -m app` is the same."""

import multiprocessing

from app.cli import cli


def main() -> None:
    """Run the command line and leave with its exit code."""
    # A frozen program starts itself again for each worker of a batch, and must know that it is one.
    multiprocessing.freeze_support()
    cli(prog_name="steadypose")


if __name__ == "__main__":
    main()
