"""Collect the pages of the site in build/docs; `make docs` then builds the site from there.

Pages keep their places in the repository, with README.md as the home page, so that their links to one another work as
they are. A link to a file that is no page (source, configuration, a folder) leads to a page made here: the file with
its syntax highlighted, or the list of what the folder holds. Links that lead nowhere end the build with an error.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

import forkpipe  # noqa: E402
import forkpipe.strategies  # noqa: E402

PAGES = ROOT / "build" / "docs"
CODE = re.compile(r"(^(`{3,}).*?^\2`*$|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)\s#]+)(?=[#)])")
REFERENCE = re.compile(r"^::: (forkpipe|forkpipe\.strategies)\.(\w+)$", re.MULTILINE)
ASSETS = (".png", ".css")
LANGUAGES = {".py": "python", ".yml": "yaml", ".toml": "toml", ".json": "json", ".jsonl": "json", ".ipynb": "json"}


def tracked_files() -> set[Path]:
    """Return the files of the repository, those not yet committed too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {ROOT / name for name in names if (ROOT / name).is_file()}


def links_of(markdown: str) -> list[str]:
    """Return the relative targets of a page's links, without anchors; code is left out."""
    return LINK.findall(CODE.sub("", markdown))


def page_of(file: Path) -> Path:
    """Return the page for a file or folder of the repository; images stay as they are."""
    if (file / "README.md").exists():
        file /= "README.md"
    place = PAGES / file.relative_to(ROOT)
    if file.name == "README.md":
        return place.with_name("index.md")
    return place if file.suffix in (".md", *ASSETS) else place.with_name(f"{file.name}.page.md")


def markdown_of(file: Path, files: set[Path]) -> str:
    """Return a page's Markdown: a Markdown file as it is, another file as a code block, a folder as a list."""
    if file.suffix == ".md":
        return file.read_text()
    title = f"# {file.relative_to(ROOT)}\n\n"
    if file.is_dir():
        names = sorted({other.relative_to(file).parts[0] for other in files if file in other.parents})
        return title + "".join(f"- [{name}]({name})\n" for name in names if not name.startswith("."))
    fence = "`" * 6
    return f"{title}{fence}{LANGUAGES.get(file.suffix, 'text')}\n{file.read_text().rstrip()}\n{fence}\n"


def missing_in_menu(files: set[Path]) -> list[str]:
    """Return a line for each page of docs/ that the site's menu does not list."""
    menu = (ROOT / "zensical.toml").read_text()
    pages = sorted(file for file in files if file.suffix == ".md" and ROOT / "docs" in file.parents)
    lacking = [page for page in pages if f'"{page_of(page).relative_to(PAGES).as_posix()}"' not in menu]
    return [f"{page.relative_to(ROOT)}: not in the menu, expected it under nav in zensical.toml" for page in lacking]


def with_modules(reference: str, errors: list[str]) -> str:
    """Name the module of each object in the reference: what the packages import lazily, mkdocstrings cannot find."""
    listed = set(REFERENCE.findall(reference))
    offered = {
        (package.__name__, name): f"{package.__name__}.{module}.{name}"
        for package in (forkpipe, forkpipe.strategies)
        for name, module in package._OFFERED.items()
    }
    errors += [f"docs/reference.md: {'.'.join(name)} is offered and not listed" for name in offered.keys() - listed]
    errors += [f"docs/reference.md: {'.'.join(name)} is listed and not offered" for name in listed - offered.keys()]
    return REFERENCE.sub(lambda match: f"::: {offered.get(match.groups(), match[0])}", reference)


def collect() -> list[str]:
    """Write all pages; return a line for each link that leads nowhere, page out of the menu, object out of place."""
    files = tracked_files()
    folders = {parent for file in files for parent in file.parents}
    shutil.rmtree(PAGES, ignore_errors=True)
    errors = missing_in_menu(files)
    pending = [file for file in files if file.suffix in (".md", *ASSETS)]
    planned = {page_of(file) for file in pending}
    while pending:
        file = pending.pop()
        page = page_of(file)
        page.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix in ASSETS:
            shutil.copy(file, page)
            continue
        folder = file if file.is_dir() else file.parent

        def to_page(link: re.Match[str], file: Path = file, folder: Path = folder, page: Path = page) -> str:
            target = Path(os.path.normpath(folder / link[1]))
            if target not in files | folders:
                errors.append(f"{file.relative_to(ROOT)}: the link to {link[1]} leads nowhere")
            elif page_of(target) not in planned:
                planned.add(page_of(target))
                pending.append(target)
            return Path(os.path.relpath(page_of(target), page.parent)).as_posix()

        pieces = CODE.split(markdown_of(file, files))
        # CODE has two groups: every third piece is text, followed by a piece of code and the fence within it.
        pieces[::3] = [LINK.sub(to_page, piece) for piece in pieces[::3]]
        text = "".join(piece for place, piece in enumerate(pieces) if place % 3 != 2)
        page.write_text(with_modules(text, errors) if file == ROOT / "docs" / "reference.md" else text)
    return errors


if __name__ == "__main__":
    sys.exit("\n".join(collect()) or None)
