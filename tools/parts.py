"""Builds the real Collector, Jaeger and Prometheus from their Go modules, so that tests can use what users run.

`python -m tools.parts` builds what is missing and says what it is doing; `tools.parts.binary("jaeger")` does the same
for tests. Results are kept in the user's cache folder, one folder per part, version and recipe (docs/e2e.md).
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
BUILDER = "go.opentelemetry.io/collector/cmd/builder"
# GOWORK off: a go.work in a parent of the cache folder is none of ours. Static and stripped: a third of the size.
GO_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -buildvcs=false", "GOWORK": "off"}
GO_BUILD = ("go", "build", "-trimpath", "-ldflags=-s -w")
HEARTBEAT_S = 30.0
LOG_TAIL_LINES = 30


class PartsError(Exception):
    """A part can't be had; the text says which, why and what helps."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to build.

    Attributes:
        name: how the command line and the cache folder call it.
        title: how messages call it.
        version: its release, as its own `--version` would say it.
        requires: Go modules as `path@version`.
        programs: name of each binary and the Go package that makes it.
        tags: Go build tags.
        manifest: for a Collector, the builder's manifest: it adds the modules it names and makes the main package.
        minutes: a cold build on two idle cores, for the message.
    """

    name: str
    title: str
    version: str
    requires: tuple[str, ...]
    programs: Mapping[str, str]
    tags: str = ""
    manifest: Path | None = None
    minutes: int = field(default=3, compare=False)

    @property
    def key(self) -> str:
        """Folder name in the cache: the same inputs give the same name, any other input another."""
        manifest = self.manifest.read_text() if self.manifest else ""
        inputs = (
            self.requires,
            sorted(self.programs.items()),
            self.tags,
            manifest,
            sorted(GO_ENVIRONMENT.items()),
            GO_BUILD,
        )
        return f"{self.name}-{self.version}-{hashlib.sha256(repr(inputs).encode()).hexdigest()[:12]}"


# Ordinary modules, unpatched. Prometheus numbers its module 0.3xx for release 3.xx. `remove_all_sd` leaves out the
# discoveries of the clouds (two thirds of the build); static, file and http discovery stay.
PARTS: tuple[Part, ...] = (
    Part(
        name="collector",
        title="OpenTelemetry Collector",
        version="0.155.0",
        requires=(f"{BUILDER}@v0.155.0", "go.opentelemetry.io/collector/otelcol@v0.155.0"),
        programs={"otelcol-sidecar": "."},
        manifest=ROOT / "collector" / "builder.yaml",
        minutes=3,
    ),
    Part(
        name="jaeger",
        title="Jaeger all-in-one",
        version="1.62.0",
        requires=("github.com/jaegertracing/jaeger@v1.62.0",),
        programs={"jaeger": "github.com/jaegertracing/jaeger/cmd/all-in-one"},
        minutes=3,
    ),
    Part(
        name="prometheus",
        title="Prometheus and promtool",
        version="3.15.0",
        requires=("github.com/prometheus/prometheus@v0.315.0",),
        programs={
            "prometheus": "github.com/prometheus/prometheus/cmd/prometheus",
            "promtool": "github.com/prometheus/prometheus/cmd/promtool",
        },
        tags="remove_all_sd",
        minutes=4,
    ),
)


def cache_folder() -> Path:
    """Where built parts are kept: `otel-sidecar/parts` in `$XDG_CACHE_HOME` or `~/.cache`."""
    # XDG Base Directory Specification 0.8: a relative path is to be ignored.
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "otel-sidecar" / "parts"


def binary(name: str) -> Path:
    """The path of a program, for example `promtool`; builds its part first when it is missing.

    Raises:
        PartsError: no part has this program, or the build failed.
    """
    for part in PARTS:
        if name in part.programs:
            return built(part) / name
    known = ", ".join(program for part in PARTS for program in part.programs)
    raise PartsError(f"no part builds {name!r}; there are: {known}")


def built(part: Part) -> Path:
    """The folder with the part's programs; builds them when they are missing.

    Two callers at once build once: the second waits for the first. A build that is interrupted leaves nothing that
    looks finished.

    Raises:
        PartsError: Go is missing, or a step of the build failed.
    """
    folder = cache_folder() / part.key
    if folder.is_dir():
        return folder
    if shutil.which("go") is None:
        raise PartsError(
            f"Go is not on the PATH. {part.title} {part.version} is built from its Go modules for the end-to-end "
            f"tests (make e2e) and is not in {cache_folder()} yet: install Go 1.26 or newer."
        )
    cache_folder().mkdir(parents=True, exist_ok=True)
    with _locked(cache_folder() / f"{part.name}.lock", part):
        if not folder.is_dir():
            _build(part, folder)
    return folder


def _say(text: str) -> None:
    print(f"[parts] {text}", flush=True)


@contextmanager
def _locked(path: Path, part: Part) -> Iterator[None]:
    """Holds the file's lock; the kernel gives it back even when this process is killed."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"{part.title}: another run is building it, waiting ({path})")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(part: Part, folder: Path) -> None:
    """Builds in a folder beside the last one and renames it at the end, so `folder` is whole whenever it exists."""
    work = folder.with_name(f".building-{folder.name}")
    shutil.rmtree(work, ignore_errors=True)
    (work / "bin").mkdir(parents=True)
    started = time.monotonic()
    _say(f"{part.title} {part.version}: building, once, about {part.minutes} minutes on two cores")
    try:
        workshop = _Workshop(part, work, work / "build.log")
        source = workshop.prepare()
        tags = ("-tags", part.tags) if part.tags else ()
        for program, package in part.programs.items():
            workshop.run(
                f"building {program}", *GO_BUILD, *tags, "-o", str(work / "bin" / program), package, cwd=source
            )
        (work / "bin").rename(folder)
    except PartsError as error:
        kept = shutil.copyfile(work / "build.log", folder.with_name(f"{folder.name}.failed.log"))
        raise PartsError(f"{error}\nThe whole log: {kept}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _say(f"{part.title} {part.version}: ready after {time.monotonic() - started:.0f} s in {folder}")


@dataclass(frozen=True, slots=True)
class _Workshop:
    """Runs the steps of one build, with their output in one log."""

    part: Part
    work: Path
    log: Path

    def prepare(self) -> Path:
        """Makes the Go module that requires the part, and returns its folder."""
        requires = list(self.part.requires)
        if self.part.manifest is None:
            source = self.work / "source"
            source.mkdir()
        else:
            manifest = yaml.safe_load(self.part.manifest.read_text())
            source = self.work / manifest["dist"]["output_path"]
            builder = next(module for module in requires if module.startswith(f"{BUILDER}@"))
            requires.remove(builder)
            requires += _modules(manifest)
            self.run("building the Collector's builder", "go", "install", builder, cwd=self.work)
            # It only writes the sources: left alone it would run `go mod tidy`, which wants modules only tests need.
            options = ("--skip-get-modules", "--skip-compilation", "--config", str(self.part.manifest))
            self.run(
                "writing the Collector's main package", str(self.work / "gobin" / "builder"), *options, cwd=self.work
            )
            (source / "go.mod").unlink(missing_ok=True)
        self.run("making the module", "go", "mod", "init", f"otel-sidecar.parts/{self.part.name}", cwd=source)
        self.run(
            "requiring the modules", "go", "mod", "edit", *(f"-require={module}" for module in requires), cwd=source
        )
        return source

    def run(self, what: str, *command: str, cwd: Path) -> None:
        """Runs one step at low priority; says how long it takes.

        Raises:
            PartsError: with the command and the end of its output.
        """
        nice = ("nice", "-n", "10") if shutil.which("nice") else ()
        environment = {**os.environ, **GO_ENVIRONMENT, "GOBIN": str(self.work / "gobin")}
        started = time.monotonic()
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [*nice, *command], cwd=cwd, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                status = self._wait(process, what, started)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        if status:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
            raise PartsError(f"{self.part.title}: {what} failed (exit status {status}): {' '.join(command)}\n{tail}")
        _say(f"  {self.part.name}: {what}: {time.monotonic() - started:.0f} s")

    def _wait(self, process: subprocess.Popen[bytes], what: str, started: float) -> int:
        while True:
            try:
                return process.wait(HEARTBEAT_S)
            except subprocess.TimeoutExpired:
                _say(f"  {self.part.name}: {what} ... {time.monotonic() - started:.0f} s")


def _modules(manifest: Mapping[str, object]) -> list[str]:
    """The Go modules that a builder manifest names, as `path@version`."""
    found = []
    for entries in manifest.values():
        if isinstance(entries, list):
            found += ["@".join(str(entry["gomod"]).split()) for entry in entries]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds the named parts, or all; 0 when they are there, 2 when one can't be had."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.parts", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    names = [part.name for part in PARTS]
    parser.add_argument(
        "part", nargs="*", choices=[*names, []], help=f"which to build: {', '.join(names)} (default: all)"
    )
    wanted = parser.parse_args(arguments).part or names
    try:
        for part in PARTS:
            if part.name in wanted:
                folder = built(part)
                _say(f"{part.title} {part.version}: {', '.join(str(folder / program) for program in part.programs)}")
    except PartsError as error:
        print(f"parts: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
