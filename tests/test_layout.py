"""The shape of the project: who imports whom, what loads when, and what the tree may hold."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "transformers", "plotly", "pandas", "scipy", "sklearn", "pyarrow")
# Each group may import the groups before it; members of one group are strangers to each other.
GROUND = [
    "errors",
    "parallel",
    "streams",
    "concepts",
    "scenes",
    "splits",
    "results",
    "uncertainty",
    "jackknife",
    "swaps",
    "design",
    "refits",
    "recognition",
    "binding",
    "softmax",
    "probes",
]
DATA = ["names", "files", "datasets", "encoders", "controlled", "embeddings", "run_directory", "learners"]
ORDER = [[name] for name in [*GROUND, *DATA, "finetune", "integrations", "show", "analyses", "runs", "report", "cli"]]
RANK = {name: rank for rank, group in enumerate(ORDER) for name in group}
DOORS = ("bindscope", "bindscope.__main__")  # the package's own door re-exports, so it may import all


def read_modules() -> dict[str, str]:
    """Dotted name -> source of every module under src."""
    modules = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return modules


def imported(module: str, source: str, known: Mapping[str, str]) -> Iterator[str]:
    """Every module of ours that `module` imports, at any depth of its code; the version is free to all."""
    is_package = any(name.startswith(module + ".") for name in known)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("bindscope."))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "bindscope":
            yield from named_in([node.attr], "bindscope", known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            if base.split(".")[0] == "bindscope":
                yield from named_in([alias.name for alias in node.names], base, known)


def named_in(names: Iterable[str], base: str, known: Mapping[str, str]) -> Iterator[str]:
    """Modules that names of `base` stand for: a submodule of it, or else `base` itself."""
    for name in names:
        if (base, name) != ("bindscope", "__version__"):
            yield f"{base}.{name}" if f"{base}.{name}" in known else base


def order_violations(modules: Mapping[str, str]) -> list[str]:
    """One line for each module that is unknown or imports one that does not come before it."""
    found = []
    for module, source in modules.items():
        if module in DOORS:
            continue
        home = module.split(".")[1]
        if home not in RANK:
            found.append(f"{module} has no place in the order")
            continue
        for target in sorted(set(imported(module, source, modules))):
            away = (target.split(".") + ["(the package's door)"])[1]
            if away != home and RANK.get(away, len(ORDER)) >= RANK[home]:
                found.append(f"{module} imports {target}")
    return found


def cycles(modules: Mapping[str, str]) -> list[str]:
    """One line for each import that closes a circle."""
    graph = {module: sorted(set(imported(module, source, modules)) - {module}) for module, source in modules.items()}
    found: list[str] = []
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            found.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in finished:
            for target in graph.get(module, []):
                visit(target, (*path, module))
            finished.add(module)

    for module in graph:
        visit(module, ())
    return found


def test_modules_import_only_what_comes_before_them() -> None:
    assert order_violations(read_modules()) == []


def inside_the_report(modules: Mapping[str, str]) -> list[str]:
    """One line for each import of the command line from the report that is no public function of it."""
    public = set(importlib.import_module("bindscope.report").__all__)
    return [
        f"{module} imports {alias.name} of {node.module}"
        for module, source in modules.items()
        if module.startswith("bindscope.cli")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bindscope.report")
        for alias in node.names
        if node.module != "bindscope.report" or alias.name not in public
    ]


def test_the_command_line_sees_the_outside_of_the_report() -> None:
    assert inside_the_report(read_modules()) == []
    wrong = {
        "bindscope.cli.x": "from bindscope.report.page import render",
        "bindscope.cli.y": "from bindscope.report import fill",
    }
    assert len(inside_the_report(wrong)) == 2


def test_every_command_has_a_file_of_its_own() -> None:
    cli = importlib.import_module("bindscope.cli")
    for name, command in cli.COMMANDS.items():
        assert command.__module__ == f"bindscope.cli.{name.replace('-', '_')}"


def test_no_import_circles() -> None:
    assert cycles(read_modules()) == []


@pytest.mark.parametrize(
    "source",
    [
        "from bindscope.report import render",
        "from bindscope import runs",
        "from . import runs",
        "from .runs import diagnose",
        "import bindscope.cli",
        "from bindscope import diagnose",
        "import bindscope\n\ndef late() -> None:\n    bindscope.diagnose()",
        "def late() -> None:\n    from bindscope.runs import run",
    ],
)
def test_order_checker_sees_a_wrong_import(source: str) -> None:
    modules = dict.fromkeys(["bindscope", "bindscope.report", "bindscope.runs"], "")
    harmless = "import bindscope\nfrom bindscope import __version__\nfrom bindscope.errors import InputError"
    assert order_violations({**modules, "bindscope.embeddings": harmless + "\nbindscope.__version__"}) == []
    assert len(order_violations({**modules, "bindscope.embeddings": source})) == 1


def test_order_checker_sees_a_module_without_a_place() -> None:
    assert order_violations({"bindscope.utils": ""}) == ["bindscope.utils has no place in the order"]


def test_checkers_follow_relative_imports_inside_a_package() -> None:
    good = {
        "bindscope.datasets": "from .text import TextScenes",
        "bindscope.datasets.text": "from ..scenes import SceneTable\nfrom .words import WORDS",
        "bindscope.datasets.words": "WORDS = ()",
        "bindscope.scenes": "",
    }
    assert order_violations(good) == []
    assert cycles(good) == []
    bad = {**good, "bindscope.datasets.words": "from bindscope.datasets import TextScenes"}
    assert order_violations(bad) == []
    assert len(cycles(bad)) == 1
    late = {**good, "bindscope.datasets.words": "from ..embeddings import Embeddings"}
    assert order_violations(late) == ["bindscope.datasets.words imports bindscope.embeddings"]


def loaded_after(code: str) -> set[str]:
    """Top-level names of the heavy libraries that a fresh interpreter holds after `code`."""
    tail = f"import sys; print(); print(*[n for n in {HEAVY!r} if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{tail}"], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_import_loads_nothing_heavy() -> None:
    assert loaded_after("import bindscope") == set()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from bindscope.cli import main; sys.argv = ['bindscope', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code"
    )
    assert loaded_after(code) == set()


def test_loaded_after_sees_a_heavy_library() -> None:
    assert "pandas" in loaded_after("import pandas")


def test_versions_agree() -> None:
    bindscope = importlib.import_module("bindscope")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert cited is not None
    assert bindscope.__version__ == version == headings[0] == cited[1]


def test_public_names_exist_and_are_documented() -> None:
    bindscope = importlib.import_module("bindscope")
    assert len(set(bindscope.__all__)) == len(bindscope.__all__) > 0
    for name in bindscope.__all__:
        value = getattr(bindscope, name)  # an AttributeError here is the finding
        if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
            assert (inspect.getdoc(value) or "").strip(), f"{name} has no docstring"


# Written in pieces, so that this file does not find itself.
MACHINE = re.compile(
    r"(?<![\w.~$}>/-])/(?:" + "|".join(["work", "root", "opt", "tmp", "home"]) + r")/"
    r"|" + "|".join([r"py" r"pi\.org", r"python" r"hosted\.org", r"registry\.npm" r"js", r"deb\.deb" r"ian\.org"])
)


def tracked_files() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_tree_names_no_machine_and_holds_no_large_file() -> None:
    found = []
    for path in tracked_files():
        if path.stat().st_size > 5 * 2**20:
            found.append(f"{path.relative_to(ROOT)} is larger than 5 MiB")
        for number, line in enumerate(path.read_bytes().decode("utf-8", errors="replace").splitlines(), 1):
            if MACHINE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:90]}")
    assert found == []


@pytest.mark.parametrize("line", ["open('/" + "work/x.py')", "see /" + "tmp/venv", "https://py" + "pi.org/simple"])
def test_machine_pattern_finds(line: str) -> None:
    assert MACHINE.search(line)


@pytest.mark.parametrize("line", ["../shared/work/x", "docs/home/page", "this work/that root", "/usr/bin/env"])
def test_machine_pattern_leaves_alone(line: str) -> None:
    assert not MACHINE.search(line)


def listed_modules(page: str) -> set[str]:
    """Paths below src of the modules that the tree of a page lists."""
    tree = page.split("## The tree")[1].split("```")[1]
    found, folders = set(), list[str]()
    for line in filter(str.strip, tree.splitlines()):
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        folders = [*folders[:depth], name.rstrip("/")]
        found.add("/".join(folders) + ("/__init__.py" if name.endswith("/") else ""))
    return found


def test_the_map_shows_the_tree() -> None:
    """docs/architecture.md lists every module and nothing else."""
    disk = {
        path.relative_to(ROOT / "src").as_posix()
        for path in tracked_files()
        if path.suffix == ".py" and path.is_relative_to(ROOT / "src")
    }
    assert listed_modules((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")) == disk


def test_a_module_that_is_missing_from_the_map_is_seen() -> None:
    page = "## The tree\n\n```\nbindscope/   the package\n  a.py   one\n  b/   two\n    c.py   three\n```\n"
    assert listed_modules(page) == {
        "bindscope/__init__.py",
        "bindscope/a.py",
        "bindscope/b/__init__.py",
        "bindscope/b/c.py",
    }
