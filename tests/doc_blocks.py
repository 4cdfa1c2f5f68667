"""The code blocks of Markdown pages, and what is checked of each kind."""

import contextlib
import doctest
import io
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^(?P=indent)```[ ]*$", re.M | re.S)
_OUTPUT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, in which language, and whether it tells the output of the block before it."""

    line: int
    language: str
    code: str
    is_output: bool


def pages() -> list[Path]:
    """Every Markdown page with code that readers may copy."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page in order, those inside comments (setup that readers do not see) among them."""
    found: list[Block] = []
    end = 0
    for match in _FENCE.finditer(text):
        code = re.sub(f"^{match['indent']}", "", match["code"], flags=re.M)
        follows = bool(found) and found[-1].language == "python" and not text[end : match.start()].strip()
        language = match["language"]
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(line, language, code, follows and language == "text"))
        end = match.end()
    return found


def wrong_outputs(page: Path, namespace: dict, folder: Path) -> list[str]:
    """Run the Python blocks of a page one after the other: where they print other than what the page says."""
    errors = []
    found = blocks(page.read_text(encoding="utf-8"))
    with contextlib.chdir(folder):
        for block, after in zip(found, [*found[1:], None], strict=True):
            if block.language != "python":
                continue
            printed = io.StringIO()
            # As many empty lines before it as on the page, so that a traceback tells the line of the page.
            program = compile("\n" * block.line + block.code, str(page), "exec")
            with contextlib.redirect_stdout(printed):
                exec(program, namespace)
            if after is not None and after.is_output:
                same = doctest.OutputChecker().check_output(after.code, printed.getvalue(), _OUTPUT)
                if not same:
                    line = f"{page.name}:{after.line}"
                    errors.append(f"{line} says\n{after.code}\nand the code prints\n{printed.getvalue()}")
    return errors


def shell_errors(code: str) -> list[str]:
    """What is wrong with shell commands, none of which is run: unknown targets, commands, options, extras and files."""
    errors = []
    for line in code.replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words:
                errors += _command_errors(words)
    return errors


def _command_errors(words: list[str]) -> list[str]:
    name, *rest = words
    if ">" in rest:
        rest = rest[: rest.index(">")]
    if name == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        return [f"make {word}: no such target" for word in rest if "=" not in word and word not in targets]
    if name in ("pip", "python") and "install" in rest:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
            "optional-dependencies"
        ]
        asked = [extra for word in rest for group in re.findall(r"\[([\w,]+)\]", word) for extra in group.split(",")]
        return [f"{extra}: no such extra" for extra in asked if extra not in extras]
    if name == "python":
        return [] if (ROOT / rest[0]).exists() or rest[0].startswith("-") else [f"{rest[0]}: no such file"]
    if name == "spectral-sim":
        return _option_errors(rest)
    return [] if name in ("cd", "git", "source") else [f"{name}: not a command that these pages may show"]


def _option_errors(words: list[str]) -> list[str]:
    import typer

    from spectral_sim.cli._app import app

    command = typer.main.get_command(app)
    while hasattr(command, "commands") and words:
        if words[0] not in command.commands:
            return [f"spectral-sim {words[0]}: no such command"]
        command, words = command.commands[words[0]], words[1:]
    known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)} | {"--help"}
    return [f"{word}: not an option of {command.name}" for word in words if word[:2] == "--" and word not in known]
