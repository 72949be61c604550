"""The house rules of the package, read off its source: who may import whom, and how large a room may be."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "minicnn"
FLOORS = {
    "errors": 0,
    "geometry": 0,
    "backend": 0,
    "kernels": 1,
    "ops": 1,
    "nn": 2,
    "models": 3,
    "optim": 3,
    "data": 3,
    "check": 3,
    "metrics": 3,
    "train": 4,
    "recipes": 5,
    "analyse": 5,
    "interop": 5,
    "grade": 5,
    "cli": 6,
    "__init__": 5,
    "__main__": 7,
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path):
    """The dotted names under minicnn that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name lives"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name


def imported_rooms(path):
    for name in imports_of(path):
        package, _, rest = name.partition(".")
        if package == "minicnn":
            room = rest.split(".")[0]
            yield room if room in FLOORS else "__init__"


def test_every_room_has_a_floor():
    assert {room_of(path) for path in FILES} <= set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_or_stay_in_the_room(path):
    own = room_of(path)
    above = {room for room in imported_rooms(path) if room != own and FLOORS[room] >= FLOORS[own]}
    ground = {"errors"} if own in ("backend", "geometry") else set()
    assert above <= ground, f"{path.name} on floor {FLOORS[own]} imports {sorted(above)}"


def test_operations_do_not_import_kernels():
    for path in FILES:
        if room_of(path) != "kernels":
            assert "kernels" not in set(imported_rooms(path)), path


def test_the_package_imports_no_lessons_benchmarks_or_tests():
    for path in FILES:
        roots = {name.split(".")[0] for name in imports_of(path)}
        assert not roots & {"lessons", "benchmarks", "tests", "torch", "pytest", "hypothesis"}, path


def test_plain_bodies_do_not_mention_cupy():
    for path in (PACKAGE / "ops").glob("*.py"):
        roots = {name.split(".")[0] for name in imports_of(path)}
        assert "cupy" not in roots, f"{path.name}: a body that runs on both libraries asks array_module(x)"


def test_files_fit_in_a_few_screens():
    long = {str(path): count for path in FILES if (count := len(path.read_text().splitlines())) > 350}
    assert not long


def test_public_functions_and_classes_are_documented():
    for path in FILES:
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), f"{path} has no docstring"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name} has no docstring"
