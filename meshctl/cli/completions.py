"""`meshctl completions`: the script that makes a shell complete meshctl's commands and options."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from meshctl.cli.command import examples
from meshctl.cli.session import Session
from meshctl.errors import MeshError

SHELLS: Final = ("bash", "zsh", "fish")


@examples("""
    source <(meshctl completions bash)
    meshctl completions zsh > ~/.zfunc/_meshctl
    meshctl completions fish > ~/.config/fish/completions/meshctl.fish
""")
def completions(
    session: Session,
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
) -> None:
    """Print the completion script of a shell.

    It has all commands and options; names of services, versions, routes, identities and proxies it asks for when TAB is
    pressed. Those are read from the mesh's home, before the first apply from mesh.toml; nothing is written."""
    from meshctl import resources

    if shell not in SHELLS:
        raise MeshError("usage", f'there is no completion for "{shell}"', hint="one of bash, zsh and fish")
    session.terminal.data(resources.text("completions", f"meshctl.{shell}"))
