"""`meshctl init` and `meshctl validate`: the beginning of a mesh.toml, and whether it holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.command import FileArgument, FileOption, Output, OutputOption, examples
from meshctl.cli.session import Session
from meshctl.errors import MeshError, because

if TYPE_CHECKING:
    from meshctl.config.files import Loaded


@examples("""
    meshctl init
    meshctl init --template canary
    meshctl init --template full -
    meshctl init --from-openapi api.yaml --url http://127.0.0.1:8000
""")
def init(
    session: Session,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The file or its folder (default: mesh.toml here); - is stdout.")
    ] = Path("mesh.toml"),
    template: Annotated[
        str, typer.Option("--template", "-t", metavar="minimal|api|canary|mesh|tls|full", help="What to start from.")
    ] = "minimal",
    from_openapi: Annotated[
        Path | None, typer.Option("--from-openapi", metavar="FILE", help="An OpenAPI document that it is to be for.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="With --from-openapi: where the application is.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a mesh.toml to start from, with the files that a template needs beside it."""
    from meshctl.config import templates

    if url is not None and from_openapi is None:
        raise MeshError("usage", "--url is for --from-openapi", hint="meshctl init --from-openapi api.yaml --url URL")
    if from_openapi is not None and template != "minimal":
        raise MeshError("usage", "--template and --from-openapi are two beginnings", hint="give one of them")
    file = path / "mesh.toml" if path.is_dir() else path
    text = templates.text(template) if from_openapi is None else _from_openapi(from_openapi, file, url)
    if str(path) == "-":
        session.terminal.data(text)
        return
    written = {file: text} | {file.parent / name: each for name, each in templates.beside(template).items()}
    _write(written, force=force)
    # These have commands of their own, which run as they stand.
    verb = "up" if template in {"api", "mesh"} else "gateway up"
    session.terminal.say(f"wrote {', '.join(map(str, written))}; next: meshctl {verb} -c {file}")


@examples("""
    meshctl validate
    meshctl validate staging/mesh.toml
    meshctl validate -o json
""")
def validate(
    session: Session,
    file: FileArgument = None,
    config: FileOption = None,
    output: OutputOption = Output.TABLE,
) -> int | None:
    """Check a mesh.toml and tell every problem at once, each with its line. Ends with 3 where it does not hold."""
    from meshctl.config.files import load
    from meshctl.config.problems import ConfigInvalid

    if file and config:
        raise MeshError("usage", f'"{file}" and -c "{config}" are two files', hint="give one of them")
    path = session.file(file or config)
    if output is Output.TABLE:
        session.terminal.say(f"{path} is valid: {_summary(session.load(path)[1])}")
        return None
    try:
        problems, status = load(path).warnings, 0
    except ConfigInvalid as error:
        problems, status = error.problems, error.exit_status
    session.terminal.document({"file": str(path), "valid": status == 0, "problems": problems})
    return status


def _from_openapi(document: Path, file: Path, url: str | None) -> str:
    """The text for an OpenAPI document, which holds where the file will be."""
    from meshctl.config.files import decode_text, load_openapi
    from meshctl.config.openapi_start import start

    folder = Path() if str(file) == "-" else file.parent
    named = os.path.relpath(document, folder)
    text = load_openapi(document, lambda sources: start(sources, named, url))
    decode_text(text, name=str(file), folder=folder)
    return text


def _write(files: dict[Path, str], *, force: bool) -> None:
    """All of the files, or none of them where one is there already."""
    there = None if force else next(filter(os.path.lexists, files), None)
    if there is not None:
        raise MeshError("failed", f'"{there}" is already there', hint="--force replaces it")
    for file, text in files.items():
        try:
            with file.open("w" if force else "x", encoding="utf-8") as out:
                out.write(text)
        except OSError as error:
            raise MeshError("failed", f'"{file}" cannot be written: {because(error)}') from error


def _summary(loaded: Loaded) -> str:
    mesh = loaded.mesh
    parts = [("listener", mesh.gateway.listeners), ("route", mesh.routes), ("service", mesh.services)]
    return ", ".join(f"{len(items)} {word}{'' if len(items) == 1 else 's'}" for word, items in parts)
