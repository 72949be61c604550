"""The assignments fit the engine: starters are empty and take what it hands over, READMEs name what is scored."""

import ast
import importlib.util
import inspect
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from minicnn import nn, ops, use_backend
from minicnn.backend import Key, slots
from minicnn.backend.slots import plain
from minicnn.grade import ASSIGNMENTS

ROOT = Path(__file__).parents[1] / "lessons" / "assignments"
POINTS = {name: {part.name: part.points for part in entry.parts} for name, entry in ASSIGNMENTS.items()}
FUNCTIONS = {
    **{name: {part.partition(":")[0] for part in points} - {"training"} for name, points in POINTS.items()},
    "a10_layer": {"Conv2d"},
    "a11_numba": {"conv2d_forward", "conv2d_backward"},
}
IMPORTS = {"numpy", "collections.abc"}
MORE_IMPORTS = {"a08_dropout": {"minicnn"}, "a10_layer": {"minicnn"}, "a11_numba": {"numba"}}
BEYOND_THE_SLOTS = {
    "numeric_gradient": "(f, x, *, h=1e-05)",
    "relative_error": "(a, b)",
    "Conv2d": "(in_channels, out_channels, kernel_size, *, stride=1, padding=0)",
}

every_assignment = pytest.mark.parametrize("name", POINTS)


def starter(name):
    """Import a starter afresh."""
    spec = importlib.util.spec_from_file_location(f"starter_{name}", ROOT / name / "starter.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def syntax(name):
    return ast.parse((ROOT / name / "starter.py").read_text())


def functions_in(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def readme(name):
    return (ROOT / name / "README.md").read_text()


def python_blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def numbers_of(text):
    """Return the assignments that a text names, a03 as 3."""
    return {int(number) for number in re.findall(r"\ba(\d\d)\b", text)}


def test_each_folder_holds_a_readme_and_a_starter_and_nothing_else():
    folders = {folder.name: folder for folder in ROOT.iterdir() if folder.is_dir()}
    assert sorted(folders) == sorted(POINTS)
    for folder in folders.values():
        assert {path.name for path in folder.iterdir()} - {"__pycache__"} == {"README.md", "starter.py"}


# The starters


@every_assignment
def test_starter_imports_in_silence_and_says_which_it_is(name, capsys):
    assert name == starter(name).ASSIGNMENT
    assert capsys.readouterr() == ("", "")


@every_assignment
def test_starter_imports_what_students_may_use(name):
    imported = set()
    for node in ast.walk(syntax(name)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert "numpy" in imported
    assert imported <= IMPORTS | MORE_IMPORTS.get(name, set())


@every_assignment
def test_starter_holds_no_solution(name):
    tree = syntax(name)
    others = [n for n in tree.body if not isinstance(n, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)]
    assert [ast.unparse(node) for node in others[1:]] == [f"ASSIGNMENT = {name!r}"]  # the first is the docstring
    assert functions_in(tree)
    for function in functions_in(tree):
        assert [ast.unparse(node) for node in function.body[1:]] == ["raise NotImplementedError"], function.name
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            assert all(isinstance(member, ast.FunctionDef) for member in node.body[1:])


@every_assignment
def test_docstrings_of_starter_give_shapes(name):
    for function in functions_in(syntax(name)):
        assert re.search(r"^\w[\w, ]* : .*(\(\w+,|shape)", ast.get_docstring(function), re.MULTILINE), function.name


@every_assignment
def test_functions_of_starter_are_not_implemented(name):
    module = starter(name)
    for function in FUNCTIONS[name]:
        written = getattr(module, function)
        parameters = inspect.signature(written).parameters.values()
        required = [p for p in parameters if p.default is p.empty]
        positional = [None for p in required if p.kind is not p.KEYWORD_ONLY]
        with pytest.raises(NotImplementedError):
            written(*positional, **{p.name: None for p in required if p.kind is p.KEYWORD_ONLY})


def test_methods_of_the_layer_are_not_implemented():
    layer = object.__new__(starter("a10_layer").Conv2d)
    assert isinstance(layer, nn.Layer)
    for method in (layer.forward, layer.backward):
        with pytest.raises(NotImplementedError):
            method(np.zeros((1, 1, 2, 2), dtype=np.float32))


@every_assignment
def test_signatures_of_starter_fit_the_operations(name):
    module = starter(name)
    for function in FUNCTIONS[name]:
        own = inspect.signature(getattr(module, function))
        if function in BEYOND_THE_SLOTS:
            assert plain(own) == BEYOND_THE_SLOTS[function]
            continue
        slot = slots()[function]
        slot.check_fits(getattr(module, function))
        shared = [p for p in slot.signature.parameters.values() if p.name in own.parameters]
        assert [described(p) for p in own.parameters.values()] == [described(p) for p in shared]


def described(parameter):
    return parameter.name, parameter.kind, parameter.default


# The READMEs


@every_assignment
def test_readme_lists_the_parts_and_their_points(name):
    table = re.search(r"\| part \| points \|\n\|---\|---\|\n((?:\|.*\n)+)", readme(name))[1]
    rows = [re.fullmatch(r"\| (.*) \| (\d+) \|", line).groups() for line in table.splitlines()]
    points = {label.replace("`", ""): int(number) for label, number in rows}
    assert sum(points.values()) == 100
    assert list(points.values()) == list(POINTS[name].values())
    for label, part in zip(points, POINTS[name], strict=True):
        assert label == part or label.startswith(f"{part}:")


@every_assignment
def test_readme_names_every_function_and_both_commands(name):
    text = readme(name)
    for function in FUNCTIONS[name]:
        assert re.search(rf"`(class )?{function}\b", text), function
    assert "minicnn check starter.py" in text
    assert "minicnn grade starter.py" in text


@every_assignment
def test_readme_has_the_sections_in_order(name):
    titles = re.findall(r"^## (.*)$", readme(name), flags=re.MULTILINE)
    wanted = ["The mathematics", "The shapes", "By hand", "What to write", "Questions to ask yourself"]
    assert [t for t in titles if t in wanted] == wanted
    assert titles[-2:] == ["How it is scored", "Sources"]


@every_assignment
def test_first_test_of_readme_agrees_with_the_engine(name, monkeypatch):
    """The example worked out by hand runs as it is printed, with the engine in the place of the student's file."""
    engine = types.ModuleType("starter")
    vars(engine).update(slots())
    engine.Conv2d = nn.Conv2d
    engine.numeric_gradient = central_difference_of_cubes
    engine.relative_error = relative_error_of_positive_numbers
    monkeypatch.setitem(sys.modules, "starter", engine)
    (block,) = python_blocks(readme(name))
    assert "from starter import" in block
    with use_backend("numpy"):
        exec(compile(block, f"{name}/README.md", "exec"), {})


def central_difference_of_cubes(f, x, *, h):
    """((x + h)^3 - (x - h)^3) / 2h, multiplied out. The engine has no such function to take."""
    return 3 * x**2 + h**2


def relative_error_of_positive_numbers(a, b):
    with np.errstate(invalid="ignore"):
        return 1 - np.nanmin(np.minimum(a, b) / np.maximum(a, b))


@every_assignment
def test_first_test_of_readme_finds_the_starter_empty(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "starter", starter(name))
    with pytest.raises(NotImplementedError):
        exec(python_blocks(readme(name))[0], {})


@every_assignment
def test_readme_holds_no_solution(name):
    for block in python_blocks(readme(name)):
        assert not functions_in(ast.parse(block))


@every_assignment
def test_an_assignment_needs_only_what_came_before(name):
    own = int(name[1:3])
    needs = re.search(r"^Needs: .*?\[The", readme(name), flags=re.MULTILINE | re.DOTALL)[0]
    row = re.search(rf"^\| \[a{own:02}\].*$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)[0]
    assert numbers_of(needs) == numbers_of(row.rpartition(" | ")[2])
    assert all(number < own for number in numbers_of(needs))


@pytest.mark.parametrize("name", [".", *POINTS])
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", readme(name)):
        file, _, heading = target.partition("#")
        path = ROOT / name / file
        assert path.exists(), target
        headings = re.findall(r"^#+ (.*)$", path.read_text(), flags=re.MULTILINE) if heading else []
        assert not heading or heading in [title.lower().replace(" ", "-") for title in headings], target


@pytest.mark.parametrize("name", [".", *POINTS])
def test_mathematics_survives_markdown(name):
    """GitHub's Markdown takes a backslash before punctuation, a star and a bar in a table for its own."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", readme(name), flags=re.DOTALL)
    assert prose.count("$") % 2 == 0
    formulas = re.findall(r"\$\$(.+?)\$\$", prose, flags=re.DOTALL)
    inline = re.findall(r"\$(.+?)\$", re.sub(r"\$\$.+?\$\$", "", prose, flags=re.DOTALL))
    for formula in formulas + inline:
        assert not re.search(r"\\[^A-Za-z\s]|[*<>|]", formula), formula
        assert formula.count("{") == formula.count("}"), formula
        assert not re.search(r"\n\s*[-+=#]", formula), f"a list or a heading to Markdown: {formula}"
    for formula in inline:
        assert formula == formula.strip(), formula


def test_the_list_names_all_assignments_in_order():
    rows = re.findall(r"^\| \[a\d\d\]\((a\d\d_\w+)/README.md\)", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert rows == list(POINTS)


def test_the_one_operation_that_students_may_call_is_as_described():
    bits = ops.random_bits(Key(4, 0, 0), count=6)
    assert bits.dtype == np.uint32
    np.testing.assert_allclose(bits / 2**32, [0.132, 0.711, 0.671, 0.957, 0.859, 0.589], atol=5e-4)
