"""For contributors: `python -m meshctl.cli.write_completions` writes the files under `completions/` anew."""

from __future__ import annotations

from meshctl import resources
from meshctl.cli.app import build
from meshctl.cli.completion_scripts import script
from meshctl.cli.completions import SHELLS


def main() -> None:
    """Write one file for each shell."""
    command = build()
    for shell in SHELLS:
        (resources.folder("completions") / f"meshctl.{shell}").write_text(script(shell, command), encoding="utf-8")


if __name__ == "__main__":
    main()
