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
