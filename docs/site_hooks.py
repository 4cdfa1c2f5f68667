"""What the site is made of beside the pages of this folder: results, the command line, links to the API."""

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

sys.path.insert(0, str(Path(__file__).parent))
from site_cli import command_line
from site_links import linked

ROOT = Path(__file__).parent.parent
RESULTS = "benchmarks/results"
_NOTEBOOK = re.compile(r"\[([^\]]+)\]\((?:\.\./)?notebooks/[^)]+\)")  # not part of the site: their names stay
_OPTION = re.compile(r"(?<!`)(`--[\w-]+`)(?!`)")
_COMMENT = re.compile(r"<!--.*?-->\n*", re.DOTALL)


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the committed results, and the history of changes, as pages."""
    for path in sorted((ROOT / RESULTS).rglob("*")):
        if path.suffix in (".md", ".png", ".json", ".svg"):
            source = path.relative_to(ROOT / RESULTS).as_posix()
            file = File(f"results/{source}", str(ROOT / "benchmarks"), config.site_dir, config.use_directory_urls)
            file.inclusion = InclusionLevel.NOT_IN_NAV
            files.append(file)
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        file = File(name, str(ROOT), config.site_dir, config.use_directory_urls)
        file.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in the command line, drop what only tests read, mark options, and link names and results."""
    place = page.file.src_uri
    if place == "cli.md":
        markdown = markdown.replace("<!-- commands -->", command_line())
    markdown = _NOTEBOOK.sub(r"\1", _COMMENT.sub("", markdown))
    up = "../" * place.count("/")
    markdown = markdown.replace(f"](../{RESULTS}/", f"]({up}results/").replace(f"]({RESULTS}/", f"]({up}results/")
    markdown = markdown.replace("](docs/", f"]({up}").replace("](../CHANGELOG.md", f"]({up}CHANGELOG.md")
    markdown = markdown.replace("](../CONTRIBUTING.md", f"]({up}CONTRIBUTING.md")
    markdown = _OPTION.sub(r"\1{: .option }", markdown)
    return markdown if place.startswith(("results/", "CHANGELOG", "cli")) else linked(markdown)
