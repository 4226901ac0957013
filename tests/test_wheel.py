"""What people install: the wheel, built from this checkout and run outside it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from meshctl import __version__, resources

ROOT = Path(__file__).parents[1]

# The first test of a worker builds and installs, too.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=250, env=pip_environment())
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*install, str(wheel)], check=True, timeout=250, env=pip_environment())
    return folder


def pip_environment() -> dict[str, str]:
    """pip without its notices."""
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}


def run(installed: Path, cwd: Path, *arguments: str) -> str:
    """What the installed meshctl prints, run in `cwd`; the checkout is not on its path."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-m", "meshctl", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_what_belongs_in_it(wheel: Path) -> None:
    """Templates, completions, the manual, the type marker and the licence are in the wheel; tests are not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"meshctl/_data/templates/{name}" for name in resources.names("templates")} <= names
    assert {f"meshctl/_data/completions/meshctl.{shell}" for shell in ("bash", "zsh", "fish")} <= names
    assert "meshctl/py.typed" in names
    assert [name for name in names if name.endswith("/licenses/LICENSE")]
    assert {f"meshctl/_data/templates/api/{name}" for name in resources.names("templates/api")} <= names
    assert {f"meshctl/_data/templates/grafana/{name}" for name in resources.names("templates/grafana")} <= names
    assert {f"meshctl/_data/templates/prometheus/{name}" for name in resources.names("templates/prometheus")} <= names
    manual = {name for name in names if name.endswith(".1")}
    data = f"meshctl-{__version__}.data"
    assert manual == {f"{data}/data/share/man/man1/{name}" for name in resources.names("man")}
    assert {name.split("/")[0] for name in names} == {"meshctl", f"meshctl-{__version__}.dist-info", data}


def test_the_installed_package_is_the_one_that_runs(installed: Path, tmp_path: Path) -> None:
    """These tests would notice a file that the wheel lacks: what runs is the installed copy."""
    program = "import meshctl; print(meshctl.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(installed)


def test_version(installed: Path, tmp_path: Path) -> None:
    """The installed command knows its version."""
    assert run(installed, tmp_path, "--version") == f"meshctl {__version__}\n"


@pytest.mark.parametrize("template", ["minimal", "full"])
def test_init_finds_the_templates(template: str, installed: Path, tmp_path: Path) -> None:
    """`init` writes the template that the wheel carries, and `validate` accepts it."""
    run(installed, tmp_path, "init", "--template", template)
    assert (tmp_path / "mesh.toml").read_text() == resources.text("templates", f"{template}.toml")
    run(installed, tmp_path, "validate")


@pytest.mark.parametrize("what", ["dashboard", "alerts", "scrape"])
def test_templates_for_prometheus_are_found(what: str, installed: Path, tmp_path: Path) -> None:
    """`metrics` prints what the wheel carries for Prometheus and Grafana."""
    folder, name = {
        "dashboard": ("templates/grafana", "meshctl.json"),
        "alerts": ("templates/prometheus", "alerts.yml"),
        "scrape": ("templates/prometheus", "prometheus.yml"),
    }[what]
    assert run(installed, tmp_path, "metrics", what) == resources.text(folder, name)


def test_the_manual_is_installed(installed: Path) -> None:
    """The pages of the manual stand where `man` looks for them."""
    assert "meshctl \\- An API gateway" in (installed / "share" / "man" / "man1" / "meshctl.1").read_text()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_found(shell: str, installed: Path, tmp_path: Path) -> None:
    """`completions` prints the script that the wheel carries."""
    assert run(installed, tmp_path, "completions", shell) == resources.text("completions", f"meshctl.{shell}")
