"""`python -m tests.fuzz NAME [--seconds N | --runs N] [--seed N]`: search one target, led by coverage.

It needs atheris (`pip install '.[fuzz]'`), which no test does. What it found interesting is kept in a folder from one
search to the next (`--corpus`); what fails is written to `crash-…` there and printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Search."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("name", nargs="?", help="the target; without one all are listed")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=-1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "meshctl-fuzz")
    parser.add_argument("--again", type=Path, help="give the target this file once, without atheris")
    options = parser.parse_args()
    if options.again:
        from tests.fuzz.targets import TARGETS

        TARGETS[options.name].attack(options.again.read_bytes())
        return
    try:
        import atheris
    except ImportError:
        sys.exit("error: atheris is not installed\nhint: pip install '.[fuzz]'")
    with atheris.instrument_imports(include=["meshctl"]):
        from tests.fuzz.targets import TARGETS
    if options.name not in TARGETS:
        sys.exit(f"the targets are {', '.join(sorted(TARGETS))}")
    target, folder = TARGETS[options.name], options.corpus / options.name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    words = folder.with_suffix(".words")
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words if word))
    limit = [f"-runs={options.runs}"] if options.runs >= 0 else [f"-max_total_time={options.seconds}"]
    # What libFuzzer writes goes beside the corpus, not into the checkout.
    more = [f"-dict={words}", f"-seed={options.seed}", f"-artifact_prefix={options.corpus}/{options.name}-",
            "-max_len=4096", "-timeout=20", "-print_final_stats=1", str(folder)]  # fmt: skip
    atheris.Setup([sys.argv[0], *limit, *more], target.attack)
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in word)


if __name__ == "__main__":
    main()
