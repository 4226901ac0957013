"""The rules of the house, read off the source: who may import whom, what pure means, what is banned or too long."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "meshctl"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

# Each may import itself and what stands to its right; this is the line in meshctl/__init__.py, held to it below.
ORDER = (
    ("cli",),
    ("control", "sidecar"),
    ("proxy",),
    ("pki", "store", "observe"),
    ("config", "core", "wire"),
    ("model",),
    ("errors", "clock"),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
# Siblings that may be imported: a configuration is checked with the very code that decides, and in words of the wire.
SIBLINGS = {("config", "core"), ("config", "wire"), ("sidecar", "control"), ("errors", "clock")}
# Top-level modules outside the order, as which they count.
ALIAS = {"__main__": "cli", "resources": "errors"}

PURE = ("model", "config", "core", "wire")
IMPURE = {"asyncio", "socket", "ssl", "time", "random", "os", "subprocess", "threading", "secrets", "select", "signal"}
READS_FILES = {"config/files.py"}

# What is banned, but for the modules named: the last words of a call.
BANNED = {
    "print": {"cli/render.py"},
    "breakpoint": set(),
    "os.chmod": set(),
    "asyncio.create_task": {"proxy/tasks.py"},
    "asyncio.ensure_future": set(),
    "loop.create_task": {"proxy/tasks.py"},
    "time.sleep": set(),
    "time.time": {"clock.py"},
    "time.monotonic": {"clock.py"},
    "datetime.now": {"clock.py"},
    "datetime.utcnow": {"clock.py"},
    "random.random": {"clock.py"},
}
# What asyncio calls on a protocol; parsers call `on_…`. Their words stand in the library's documentation.
CALLBACKS = {
    "connection_made",
    "connection_lost",
    "data_received",
    "eof_received",
    "get_buffer",
    "buffer_updated",
    "pause_writing",
    "resume_writing",
}
NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}

LONGEST_MODULE = 300
LONGEST_FUNCTION = 50


@cache
def source(module: str) -> str:
    """The module's text."""
    return (PACKAGE / module).read_text(encoding="utf-8")


@cache
def parsed(module: str) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(source(module))


def part(module: str) -> str:
    """Which part of the order a module of ours belongs to: `cli/app.py` → cli, `meshctl.cli.app` → cli."""
    words = module.removeprefix("meshctl.").removesuffix(".py").replace("/", ".").split(".")
    return ALIAS.get(words[0], words[0])


def imports(module: str) -> Iterator[tuple[int, str]]:
    """Every import anywhere in the module, late ones and those for types included: line and dotted name."""
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: write imports in full"
            yield node.lineno, node.module or ""
            if node.module == "meshctl":
                yield from ((node.lineno, f"meshctl.{alias.name}") for alias in node.names)


def may_import(importer: str, imported: str) -> bool:
    """Whether a module of part `importer` may import one of part `imported`."""
    if importer == imported or (importer, imported) in SIBLINGS:
        return True
    return RANK[importer] < RANK[imported]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    """No module imports from a part above its own, nor from a sibling."""
    if module == "__init__.py":
        assert list(imports(module)) == [(line, name) for line, name in imports(module) if name == "__future__"]
        return
    ours = [(line, name) for line, name in imports(module) if name.startswith("meshctl.")]
    wrong = [
        f"{module}:{line} imports {name}"
        for line, name in ours
        if not name.startswith("meshctl.__") and not may_import(part(module), part(name))
    ]
    assert wrong == []


def test_the_order_is_the_documented_one() -> None:
    """The order tested here is the one that the package's docstring draws."""
    drawn = next(line for line in source("__init__.py").splitlines() if "→ control" in line)
    assert tuple(tuple(group.strip() for group in part.split(",")) for part in drawn.split("→")) == ORDER


def test_every_part_is_in_the_order() -> None:
    """There is no package or module whose place in the order is not decided."""
    assert {part(module) for module in MODULES} - {"__init__"} <= RANK.keys()


@pytest.mark.parametrize("module", [module for module in MODULES if part(module) in PURE])
def test_pure_parts_touch_nothing(module: str) -> None:
    """Pure parts import nothing that reads clocks, throws dice, opens files by itself or talks to anybody."""
    forbidden = IMPURE | {"meshctl.clock"} if module not in READS_FILES else IMPURE - {"os"}
    names = {name for _, name in imports(module)}
    assert {name for name in names if name in forbidden or name.split(".")[0] in forbidden} == set()


@pytest.mark.parametrize("module", MODULES)
def test_nothing_banned_is_called(module: str) -> None:
    """What the house bans is not called, whatever a linter was told to overlook."""
    calls = [(node.lineno, ast.unparse(node.func)) for node in ast.walk(parsed(module)) if isinstance(node, ast.Call)]
    found = [
        f"{module}:{line} calls {name}"
        for line, name in calls
        for banned, where in BANNED.items()
        if module not in where and (name == banned or ("." in banned and name.endswith("." + banned)))
    ]
    assert found == []
    assert [name for _, name in calls if name.endswith(".chmod")] == []


@pytest.mark.parametrize("module", [module for module in MODULES if module != "clock.py"])
def test_time_and_dice_come_from_the_clock(module: str) -> None:
    """Only clock.py imports time, datetime or random."""
    assert {"time", "random", "datetime"} & {name for _, name in imports(module)} == set()


@pytest.mark.parametrize("module", MODULES)
def test_modules_say_what_they_are(module: str) -> None:
    """A module with code has a docstring and postponed annotations, and a name that says something."""
    assert not NAMES & set(module.removesuffix(".py").split("/"))
    code = parsed(module).body
    if not code:
        assert module.endswith("__init__.py")
        return
    assert ast.get_docstring(parsed(module))
    if any(not isinstance(node, ast.Expr | ast.Assign) for node in code):
        assert "__future__" in [name for _, name in imports(module)]


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_has_a_docstring(module: str) -> None:
    """Public classes, functions and methods say what they promise."""
    assert [name for name, node in public(parsed(module)) if not ast.get_docstring(node)] == []


def public(
    parent: ast.Module | ast.ClassDef, prefix: str = ""
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """What of `parent` others may use, by name; callbacks and overloads need no words of their own."""
    for node in parent.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if any(ast.unparse(each) in ("overload", "typing.overload") for each in node.decorator_list):
            continue
        if prefix and (node.name in CALLBACKS or node.name.startswith("on_")):
            continue
        yield f"{prefix}{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public(node, f"{prefix}{node.name}.")


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_too_long(module: str) -> None:
    """A module has at most 300 lines, a function at most 50 without its docstring."""
    lines = source(module).count("\n")
    assert lines <= LONGEST_MODULE
    functions = [node for node in ast.walk(parsed(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f"{module}:{node.lineno} {node.name}" for node in functions if length(node) > LONGEST_FUNCTION] == []


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function, its docstring not counted."""
    last = node.end_lineno or node.lineno
    words = node.body[0] if ast.get_docstring(node) is not None else None
    return last - node.lineno + 1 - (((words.end_lineno or 0) - words.lineno + 1) if words else 0)


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_left_for_later(module: str) -> None:
    """No notes to self in the source: what is left to do stands in an issue."""
    assert not [word for word in ("TODO", "FIXME", "XXX") if word in source(module)]
