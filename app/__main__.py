"""Entry point of the `steadypose` command; `python -m app` is the same."""

from app.cli import cli


def main() -> None:
    """Run the command line and leave with its exit code."""
    cli(prog_name="steadypose")


if __name__ == "__main__":
    main()
