"""Files of benchmarks: fetched from the hub at a commit or from an address, and refused if a byte differs."""

import hashlib
import os
import shutil
import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from forkpipe.core.errors import InputError, one_line
from forkpipe.core.hub import HubFile, local_files
from forkpipe.core.progress import logger
from forkpipe.parameters.benchmarks import Benchmark, BenchmarkSource

SECONDS = 60.0
"""Longest wait for the next bytes of an address."""


def cache_folder() -> Path:
    """Return the folder for fetched files, `forkpipe/benchmarks` in the user's cache ($XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forkpipe" / "benchmarks"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(benchmark: Benchmark, source: BenchmarkSource, cache: Path) -> Path:
    """Return the file of a source, fetched unless a cache has it; InputError if it cannot be had or differs."""
    if source.hub:
        path = _from_hub(benchmark, source)
    elif source.url:
        path = _from_address(benchmark, source, cache)
    else:
        path = Path(str(source.file)).expanduser()
        if source.file is None or not path.is_file():
            raise InputError(
                f"benchmark {benchmark.name}: {source.file or 'nobody says where its file is'}: "
                f"no such file, expected one in benchmarks.files"
            )
    if source.sha256 and (sha256 := sha256_of(path)) != source.sha256:
        raise InputError(
            f"benchmark {benchmark.name}: {path} has SHA-256 {sha256}, expected {source.sha256} of {source.place}"
        )
    return path


def _from_hub(benchmark: Benchmark, source: BenchmarkSource) -> Path:
    try:
        (path,) = local_files(HubFile(str(source.hub), str(source.revision), str(source.file)))
    except InputError as error:
        raise InputError(
            f"benchmark {benchmark.name}: {error}; a file of the same content can stand in benchmarks.files"
        ) from error
    return path


def _from_address(benchmark: Benchmark, source: BenchmarkSource, cache: Path) -> Path:
    url = str(source.url)
    name = Path(urlsplit(url).path).name or benchmark.name
    path = cache / f"{str(source.sha256)[:16]}-{name}"
    if path.exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    logger.info("fetching benchmark %s from %s", benchmark.name, url)
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer, partial.open("wb") as file:
            shutil.copyfileobj(answer, file)
        if (sha256 := sha256_of(partial)) != source.sha256:
            raise InputError(
                f"benchmark {benchmark.name}: {url} holds a file with SHA-256 {sha256}, expected {source.sha256}"
            )
        partial.replace(path)
    except (OSError, HTTPException) as error:  # urllib's errors are OSErrors
        raise InputError(
            f"benchmark {benchmark.name}: {url} cannot be fetched: {one_line(error)}; "
            "a file of the same content can stand in benchmarks.files"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return path
