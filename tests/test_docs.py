"""The examples in the documents and in the docstrings run."""

import doctest
import importlib
import pkgutil
import re

import awn_kernels
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import awn_jax


@pytest.mark.parametrize("name", ["your_own.md"])
def test_examples_run(repository, name, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (repository / "docs" / name).read_text(), re.DOTALL)
    assert blocks
    scope = {}
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        for block in blocks:
            exec(compile(block, name, "exec"), scope)
    printed = capsys.readouterr().out
    # Every print whose result the document shows.
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("print(") and "  # (" in line]
    assert lines
    for line in lines:
        assert line.split("  # ")[1].split(":")[0].strip() in printed
    assert jnp.isfinite(scope["loss"])


def examples():
    """The docstrings with examples, of all modules but the commands."""
    for package in (awn_jax, awn_kernels):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not re.search(r"__main__|mosaic|pallas|\.bench", module.name):
                for test in doctest.DocTestFinder().find(importlib.import_module(module.name)):
                    if test.examples:
                        yield test


@pytest.fixture(scope="module")
def names(digits):
    """What examples may use: a network, two images that it takes, and all that the package offers."""
    model = awn_jax.LeNet3C1L((28, 28, 1), 10, channels=4, rngs=nnx.Rngs(0))
    images = jnp.asarray(digits.images[:2], jnp.float32) / 255
    public = {name: getattr(awn_jax, name) for name in awn_jax.__all__}
    return {**public, "model": model, "images": images, "jax": jax, "jnp": jnp, "nnx": nnx, "np": np}


@pytest.mark.parametrize("test", list(examples()), ids=lambda test: test.name)
def test_docstring_examples_run(test, names):
    test.globs = {**names, **test.globs, "model": names["model"], "images": names["images"]}
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert not result.failed
