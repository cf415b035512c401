"""What an installation holds: every package of both folders, under names that no other distribution has."""

import ast
import tomllib

import pytest


def test_pyproject_lists_every_package(repository):
    settings = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {"awn_jax": "awn_jax"} | settings["package-dir"]
    packages = {
        ".".join((name, *module.parent.relative_to(repository / folder).parts))
        for name, folder in folders.items()
        for module in (repository / folder).rglob("*.py")
    }
    assert sorted(packages) == settings["packages"]


def absolute_imports(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    # The folder is `kernels` in a checkout and `awn_kernels` once installed, and a library of its own.
    [("kernels", {"kernels", "awn_kernels", "awn_jax"}), ("awn_jax", {"kernels"}), ("tests/kernels", {"kernels"})],
)
def test_imports_work_under_both_names_of_the_kernels(repository, folder, forbidden):
    for path in (repository / folder).rglob("*.py"):
        imported = {name.split(".")[0] for name in absolute_imports(path.read_text())}
        assert not imported & forbidden, path


def test_files_beside_the_modules_are_installed_too(repository):
    data = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    found = {
        path for path in (repository / "awn_jax").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    listed = [
        path
        for package, names in data.items()
        for name in names
        for path in repository.joinpath(*package.split(".")).glob(name)
    ]
    assert set(listed) == found
    assert len(listed) == len(found) > 2


# Each room may import those before it, and those on its own line.
ROOMS = [
    {"errors", "registry", "widths"},
    {"aborts", "arguments", "bars", "files", "hardware", "hosts", "sealed"},
    {"layers"},
    {"network"},
    {"families"},
    {"models"},
    {"tasks"},
    {"data"},
    {"training", "evaluation"},
    {"board"},
    {"logs"},
    {"config"},
    {"build"},
    {"run"},
    {"validation", "weights"},
    {"loop", "convert"},
    {"experiment"},
    {"anytime", "export", "profile", "bench", "page", "scale"},
    {"paper", "predict"},
]


def test_imports_point_one_way(repository):
    rank = {name: number for number, names in enumerate(ROOMS) for name in names}
    modules = {
        path
        for path in (repository / "awn_jax").rglob("*.py")
        if path.name != "__init__.py" or path.parent.name != "awn_jax"
    }
    for path in modules:
        own = path.relative_to(repository / "awn_jax").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = (
                    [a.name for a in node.names] if node.module == "awn_jax" else [node.module.removeprefix("awn_jax.")]
                )
                for name in names if node.module.startswith("awn_jax") else []:
                    assert rank[name.split(".")[0]] <= rank[own], f"{path} imports {name}"
