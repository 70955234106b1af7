"""Throw-away environments with other versions than .venv's, so that tests meet what users really run.

`python -m tests.compat.environments` makes what is missing, `... --lock` resolves the versions anew (needs uv). An
environment is kept in the user's cache folder under its name and the hash of its lock.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools.parts import cache_folder

ROOT = Path(__file__).resolve().parents[2]
LOCKS = Path(__file__).parent / "locks"
# What pyproject.toml names as the base install; the versions are those of requirements.lock.
BASE = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-prometheus")
STOCK = ("opentelemetry-distro", "opentelemetry-instrumentation-fastapi")


@dataclass(frozen=True, slots=True)
class Environment:
    """One set of locked packages.

    Attributes:
        name: of its lock file and of its folder.
        requirements: what its lock is resolved from.
    """

    name: str
    requirements: tuple[str, ...]

    @property
    def lock(self) -> Path:
        """The locked packages, with hashes."""
        return LOCKS / f"{self.name}.txt"

    @property
    def folder(self) -> Path:
        """Where it is kept; another lock or another Python is another folder."""
        inputs = (self.lock.read_text(), sys.version, sys.prefix)
        return (
            cache_folder().parent / "compat" / f"{self.name}-{hashlib.sha256(repr(inputs).encode()).hexdigest()[:12]}"
        )

    @property
    def bin(self) -> Path:
        """The folder of its programs."""
        return self.folder / "bin"


# 0.115 and 0.120: Starlette below 0.50. 0.128: the last before Starlette 1. 0.141: included routers are kept apart,
# and the last without telemetry of its own. 0.142: the first with it.
FASTAPI = tuple(
    Environment(f"fastapi-{version}", (f"fastapi=={version}.*", *BASE, *STOCK))
    for version in ("0.115", "0.120", "0.128", "0.141", "0.142", "0.165")
)
PROTOBUF = tuple(
    Environment(f"protobuf-{version}", (f"protobuf=={version}.*", "fastapi", "uvicorn", *BASE))
    for version in ("3.20", "4.25")
)
SERVERS = Environment("servers", ("fastapi", "uvicorn", "gunicorn", "uvicorn-worker", "hypercorn", "granian", *BASE))
ENVIRONMENTS = (*FASTAPI, *PROTOBUF, SERVERS)


def made(environment: Environment) -> Environment:
    """The same environment, there and complete; two callers at once make it once.

    Raises:
        RuntimeError: a package can't be had; the text is the installer's own.
    """
    folder = environment.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(environment)
            (folder / ".ready").touch()
    return environment


def _make(environment: Environment) -> None:
    python = environment.bin / "python"
    uv = shutil.which("uv")
    venv.create(environment.folder, symlinks=True, with_pip=False)
    locked = ("install", "--quiet", "--require-hashes", "-r", str(environment.lock))
    # pip of .venv works on another environment as well; where .venv has none, uv made it and is there.
    if uv:
        command = [uv, "pip", *locked, "--compile-bytecode", "--python", str(python)]
    else:
        command = [sys.executable, "-m", "pip", "--python", str(python), *locked, "--disable-pip-version-check"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")


def resolve(environment: Environment) -> None:
    """Writes the lock anew; OpenTelemetry's packages stay at the versions of requirements.lock."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "-p", "3.11", "--generate-hashes", "--no-annotate"]
    pinned = "\n".join(
        line.removesuffix(" \\")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if line.startswith("opentelemetry-")
    )
    pins = LOCKS / ".pins"
    pins.write_text(pinned)
    try:
        subprocess.run(
            [*command, "--no-header", "-c", str(pins), "-o", str(environment.lock), "-"],
            input="\n".join(environment.requirements),
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    finally:
        pins.unlink()


def main() -> None:
    """Makes, or resolves and makes, all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", action="store_true", help="resolve the versions anew (needs uv)")
    if parser.parse_args().lock:
        for environment in ENVIRONMENTS:
            resolve(environment)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for environment in pool.map(made, ENVIRONMENTS):
            sys.stdout.write(f"{environment.folder}\n")


if __name__ == "__main__":
    main()
