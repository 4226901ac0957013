"""The way in: `meshctl …` and `python -m meshctl …`. Answers `--version`, and a shell that completes a
word, before anything heavy is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line in `sys.argv` and end the process with its exit status."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from meshctl import __version__

        sys.stdout.write(f"meshctl {__version__}\n")
        return
    if arguments[:1] == ["__complete"]:
        from meshctl.cli.live_values import main as complete

        complete(arguments[1:])
        return
    try:
        from meshctl.cli.app import run
    except KeyboardInterrupt:
        # Loading takes long enough for an impatient Ctrl-C; `run` answers those that come later, with the same status.
        sys.exit(130)
    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
