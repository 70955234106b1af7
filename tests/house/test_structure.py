"""The rules of the house, held by reading its source."""

from __future__ import annotations

import ast
import itertools
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("instrumentation", "sidecar")
GENERATED = {ROOT / package / "semconv.py" for package in PACKAGES}
SOURCES = sorted(
    path
    for package in (*PACKAGES, "examples", "benchmarks", "tools", "tests")
    for path in (ROOT / package).rglob("*.py")
)
PRODUCT = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in PACKAGES and path not in GENERATED]

# Logic that sync code, async code and tests can drive alike: no socket, no clock, no environment, no file, no thread.
PURE = (
    "instrumentation/http.py",
    "instrumentation/limits.py",
    "instrumentation/keep.py",
    "instrumentation/logs/attributes.py",
    "instrumentation/logs/correlation.py",
    "instrumentation/logs/severity.py",
    "instrumentation/owner.py",
    "instrumentation/redaction.py",
    "instrumentation/routes.py",
    "instrumentation/settings.py",
    "instrumentation/otlp/common.py",
    "instrumentation/otlp/envelope.py",
    "instrumentation/otlp/logs.py",
    "instrumentation/otlp/metrics.py",
    "instrumentation/otlp/settings.py",
    "instrumentation/otlp/traces.py",
    "instrumentation/otlp/wire.py",
    "sidecar/batch.py",
    "sidecar/bridge/escaping.py",
    "sidecar/bridge/merge.py",
    "sidecar/bridge/model.py",
    "sidecar/bridge/names.py",
    "sidecar/bridge/negotiate.py",
    "sidecar/bridge/native.py",
    "sidecar/bridge/openmetrics.py",
    "sidecar/bridge/protobuf.py",
    "sidecar/bridge/streams.py",
    "sidecar/bridge/text.py",
    "sidecar/bridge/views.py",
    "sidecar/receive/wire.py",
)
IMPURE_MODULES = {
    "asyncio", "grpc", "http", "httpcore", "os", "pathlib", "select", "selectors", "shutil", "signal", "socket", "ssl",
    "starlette", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "uvicorn", "uvloop",
}  # fmt: skip


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at any depth of it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_two_packages_never_import_each_other() -> None:
    """OTLP and the names of the registry are the whole contract between them."""
    for path in PRODUCT:
        own = path.relative_to(ROOT).parts[0]
        other = next(package for package in PACKAGES if package != own)
        crossing = [module for module in imports(path) if module.split(".")[0] == other]
        assert crossing == [], f"{name(path)} imports {crossing}"


@pytest.mark.parametrize("file", PURE)
def test_pure_modules_do_no_io(file: str) -> None:
    """What is listed as pure exists and imports nothing that reaches outside."""
    found = {module for module in imports(ROOT / file) if {module, module.split(".")[0]} & IMPURE_MODULES}
    assert found == set()


def test_the_base_install_needs_no_protobuf_and_no_server() -> None:
    """ML images with old pins can import `instrumentation`: everything else is imported where it is used."""
    allowed = {"opentelemetry", "instrumentation"}
    for path in PRODUCT:
        if path.relative_to(ROOT).parts[0] != "instrumentation" or "auto" in path.parts:
            continue
        tree = ast.parse(path.read_text())
        at_import = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        modules = {
            (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
            for node in at_import
            for alias in node.names
        }
        foreign = {module for module in modules - allowed if not _standard(module)}
        assert foreign == set(), f"{name(path)} imports {foreign}"


def _standard(module: str) -> bool:
    import sys

    return module in sys.stdlib_module_names


@pytest.mark.parametrize("path", [path for path in SOURCES if "tests" not in path.parts], ids=name)
def test_a_module_opens_with_why_it_exists(path: Path) -> None:
    """The first statement is a docstring whose first sentence ends on the first lines."""
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text, f"{name(path)} has no docstring"


def test_files_are_rooms_of_a_size_one_can_see() -> None:
    """Median at most 140 lines, none over 400; functions at most 60."""
    sizes = {path: len(path.read_text().splitlines()) for path in PRODUCT}
    assert statistics.median(sizes.values()) <= 140
    assert {name(path): size for path, size in sizes.items() if size > 400} == {}
    long = {
        f"{name(path)}:{node.name}": lines
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > 60
    }
    assert long == {}


def test_tests_mirror_the_source() -> None:
    """A folder of the product has a folder of tests."""
    folders = {path.parent.relative_to(ROOT) for path in PRODUCT if path.name != "sitecustomize.py"}
    missing = [str(folder) for folder in sorted(folders) if not list((ROOT / "tests" / folder).glob("test_*.py"))]
    assert missing == []


def test_no_name_of_the_registry_is_spelled_in_the_code() -> None:
    """Metric and attribute names have one home; code uses the constants."""
    from instrumentation import semconv

    names = {metric.name for metric in semconv.METRICS} | {
        value
        for key, value in vars(semconv).items()
        if isinstance(value, str) and key.isupper() and value.startswith(("ml.", "http."))
    }
    for path in PRODUCT:
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        spelled = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and node.value in names and id(node) not in docstrings
        ]
        assert spelled == [], f"{name(path)} spells {spelled}"


def test_no_registry_host_is_named() -> None:
    """Where packages come from is the user's own setting."""
    hosts = ("pypi" + ".org", "proxy" + ".golang", "registry.npm" + "js", "repo.maven" + ".apache", "crates" + ".io")
    tracked = [
        path
        for path in itertools.chain(
            ROOT.glob("*"),
            *(
                ROOT.glob(f"{d}/**/*")
                for d in (*PACKAGES, "tests", "tools", "docs", "examples", "benchmarks", "collector", "deploy", ".ci")
            ),
        )
        if path.is_file() and path.suffix in (".py", ".toml", ".md", ".yaml", ".sh", ".lock", ".cfg", "")
    ]
    named = [name(path) for path in tracked if any(host in path.read_text(errors="ignore") for host in hosts)]
    assert named == []
