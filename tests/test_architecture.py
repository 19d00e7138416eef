"""Imports go one way, and few modules may touch the world."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "conversimple"
MODULES = sorted(PACKAGE.rglob("*.py"))

#: The lowest room first; each may import from its own and from lower ones.
ROOMS = (
    {"errors", "settings", "lazy"},
    {"core"},
    {"runtime"},
    {
        *("tools", "validation", "invocation", "callbacks", "journaling", "engine"),
        *("host", "lifetime", "agent", "making", "rehearsal"),
        *("outcomes", "elsewhere", "running"),
    },
    {
        *("dispatcher", "dispatching", "testing", "integrations", "scenarios", "dev"),
        *("cli", "commands", "__main__"),
    },
)

THREADS = {"socket", "select", "selectors", "threading", "_thread", "multiprocessing"}
IMPURE = THREADS | {"time", "random", "secrets", "logging.handlers", "asyncio", "ssl"}

#: Checked elsewhere, or nothing but names.
WITHOUT_TESTS = {"__init__.py", "__main__.py"}


def name_of(path: Path) -> str:
    """A module's dotted name inside the package; empty for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def room_of(module: str) -> str:
    """The first part of a dotted name."""
    return module.partition(".")[0]


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """What a module imports, absolute, and whether only for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from _imports(tree, path, for_types=False)


def _imports(
    node: ast.AST, path: Path, *, for_types: bool
) -> Iterator[tuple[str, bool]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, for_types) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(node, path)
        yield from ((f"{base}.{alias.name}", for_types) for alias in node.names)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        for statement in node.body:
            yield from _imports(statement, path, for_types=True)
        for statement in node.orelse:
            yield from _imports(statement, path, for_types=for_types)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, path, for_types=for_types)


def _absolute(node: ast.ImportFrom, path: Path) -> str:
    if not node.level:
        return node.module or ""
    folder = path.parent
    for _ in range(node.level - 1):
        folder = folder.parent
    inside = folder.relative_to(PACKAGE.parent).parts
    return ".".join([*inside, *([node.module] if node.module else [])])


def internal(path: Path) -> Iterator[str]:
    """The modules of the package that a module imports, as names inside it."""
    for name, _ in imports_of(path):
        if name.startswith("conversimple."):
            yield name.partition(".")[2]


def external(path: Path, *, types_too: bool = True) -> set[str]:
    """Every prefix of what a module imports from elsewhere."""
    names: set[str] = set()
    for name, for_types in imports_of(path):
        if name.startswith("conversimple") or (for_types and not types_too):
            continue
        parts = name.split(".")
        names |= {".".join(parts[: end + 1]) for end in range(len(parts))}
    return names


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def test_the_modules_are_found() -> None:
    """Or the other tests would prove nothing."""
    names = {name_of(path) for path in MODULES}
    assert {"", "agent", "core.session", "runtime.transport", "local"} <= names


def test_every_room_is_known() -> None:
    """A new part of the package gets its place on purpose."""
    known = set().union(*ROOMS) | {"", "local"}
    assert {room_of(name_of(path)) for path in MODULES} <= known


@each_module
def test_imports_go_one_way(path: Path) -> None:
    """From the facade down to the errors, never up."""
    room = room_of(name_of(path))
    if room == "local":
        allowed = {"local", *ROOMS[0]}
    elif room == "":
        allowed = set().union(*ROOMS[:4]) | {"dispatcher"}
    else:
        level = next(i for i, rooms in enumerate(ROOMS) if room in rooms)
        allowed = set().union(*ROOMS[: level + 1])
        if level == len(ROOMS) - 1:
            allowed |= {"local", "ConversimpleAgent", "tool", "tool_async"}
    imported = {room_of(name) for name in internal(path)}
    # At the top, names are imported from the package itself: they are public.
    assert not {name for name in imported - allowed if (PACKAGE / name).is_dir()}
    assert not {n for n in imported - allowed if (PACKAGE / f"{n}.py").is_file()}


@each_module
def test_threads_and_sockets_have_one_home(path: Path) -> None:
    """Runtime, local platform and dev's child have them; what is started has a lock."""
    name = name_of(path)
    if room_of(name) in ("runtime", "local"):
        return
    exempt = ("agent", "dispatcher", "dev.link", "dev.worker", "testing.threads")
    allowed = {"threading"} if name in exempt else set()
    assert not (external(path) & THREADS) - allowed


@each_module
def test_the_core_is_pure(path: Path) -> None:
    """It has no clock, no chance, no threads, and handles no log."""
    if room_of(name_of(path)) == "core":
        assert not external(path) & IMPURE


@each_module
def test_websocket_client_has_one_user(path: Path) -> None:
    """Its errors are translated at the border, in one file."""
    if name_of(path) != "runtime.transport":
        assert "websocket" not in external(path)


@each_module
def test_heavy_libraries_are_imported_late(path: Path) -> None:
    """What the package's top imports must be cheap."""
    if room_of(name_of(path)) in ("", "agent", "tools", "errors", "settings", "core"):
        top = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            alias.name.partition(".")[0]
            for node in top.body
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {
            (node.module or "").partition(".")[0]
            for node in top.body
            if isinstance(node, ast.ImportFrom) and not node.level
        }
        assert not names & {"jsonschema", "referencing", "tenacity", "asyncio"}


@each_module
def test_the_environment_has_one_reader(path: Path) -> None:
    """Settings come from one place."""
    if name_of(path) == "settings":
        return
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        name = getattr(node, "attr", getattr(node, "id", ""))
        assert name not in ("environ", "environb", "getenv") or _is_argument(node)
    assert "os.environ" not in external(path)


def _is_argument(node: ast.AST) -> bool:
    # A dictionary that is handed on may have the name, os's own may not.
    return isinstance(node, ast.Name)


def test_every_module_has_its_tests() -> None:
    """The tests mirror the package."""
    missing = [
        str(mirror.relative_to(ROOT))
        for path in MODULES
        if path.name not in WITHOUT_TESTS
        for mirror in [_mirror(path)]
        if not mirror.is_file()
    ]
    assert not missing, "these files are missing:\n  " + "\n  ".join(missing)


def _mirror(path: Path) -> Path:
    inside = path.relative_to(PACKAGE)
    return ROOT / "tests" / inside.parent / f"test_{inside.name}"
