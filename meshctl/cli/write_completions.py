"""For contributors: `python -m meshctl.cli.write_completions` writes what is made from the tree of commands anew: the
files under `completions/` and the manual under `meshctl/_data/man/`."""

from __future__ import annotations

from meshctl import resources
from meshctl.cli.app import build
from meshctl.cli.completion_scripts import script
from meshctl.cli.completions import SHELLS
from meshctl.cli.man_pages import pages


def main() -> None:
    """Write one file for each shell, and one for each page; remove pages of commands that are no more."""
    command = build()
    for shell in SHELLS:
        (resources.folder("completions") / f"meshctl.{shell}").write_text(script(shell, command), encoding="utf-8")
    manual = resources.folder("man")
    manual.mkdir(parents=True, exist_ok=True)
    written = dict(pages(command))
    for name, text in written.items():
        (manual / name).write_text(text, encoding="utf-8")
    for name in set(resources.names("man")) - written.keys():
        (manual / name).unlink()


if __name__ == "__main__":
    main()
