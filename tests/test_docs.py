"""The examples in the documents and in the docstrings run, and print what they promise."""

import ast
import contextlib
import doctest
import importlib
import io
import pathlib
import pkgutil
import re
import shutil

import awn_kernels
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import awn_jax
from awn_jax import config, data, profile
from awn_jax.profile import Latency, Profile, ProfiledWidth, save
from awn_jax.run import open_run

ROOT = pathlib.Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(path):
    return BLOCK.findall(path.read_text(encoding="utf-8"))


def promised(line):
    """What a line says that it prints, as `# → (8, 10): one pass` does; None if it does not."""
    found = re.search(r"  # → (.*?)(?:: .*)?$", line)
    return found and found.group(1)


def run_block(block, name, scope):
    """Runs a block statement by statement, and compares what is printed with what is promised."""
    lines = block.splitlines()
    for statement in ast.parse(block).body:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(ast.Module([statement], []), name, "exec"), scope)
        wanted = promised(lines[statement.end_lineno - 1])
        if wanted is not None:
            assert printed.getvalue().strip() == wanted


@pytest.fixture
def demo(trained_run, tmp_path, monkeypatch):
    """A folder with a trained and profiled network in runs/demo, which documents begin with."""
    monkeypatch.chdir(tmp_path)
    # The examples are for one device; the tests have eight.
    monkeypatch.setattr(data, "data_mesh", lambda: jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",)))
    folder = pathlib.Path(shutil.copytree(trained_run, tmp_path / "runs" / "demo"))
    store = open_run(folder).store()
    step = store.latest_step()
    store.close()
    row = ProfiledWidth(0.5, 1, 1000, {"top1": 0.9}, {1: 1}, {1: Latency(1.0, 1.0, 1)})
    save(Profile("", "", step, "top1", (1,), {1: 0.0}, (row,)), folder)


@pytest.mark.parametrize(
    "path",
    [path for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))) if blocks(path)],
    ids=lambda p: p.name,
)
def test_code_in_documents_runs(path, demo):
    scope = {}
    # As a reader's session is.
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        for block in blocks(path):
            run_block(block, path.name, scope)
    for check in CHECKS.get(path.name, ()):
        check(scope)


def check_step(scope):
    assert jnp.isfinite(scope["loss"])


def check_widened(scope):
    wide = scope["model"](scope["images"], 1)
    np.testing.assert_allclose(scope["widened"], wide, rtol=1e-4, atol=1e-4)


def check_answers(scope):
    assert scope["in_time"].outputs.shape == scope["sure"].outputs.shape == (4, 10)
    assert scope["width"] == 0.5


def check_exports(scope):
    model, images = scope["model"], scope["images"][:100]
    np.testing.assert_allclose(scope["half"].call(images), model(images, 0.5), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scope["logits"], model(images, 0.25), rtol=1e-4, atol=1e-4)


CHECKS = {"your_own.md": [check_step], "using.md": [check_widened, check_answers, check_exports]}


def test_documents_promise_results():
    """The form that promises have is the one that is looked for."""
    lines = [line for path in ROOT.glob("docs/*.md") for block in blocks(path) for line in block.splitlines()]
    assert sum(promised(line) is not None for line in lines) >= 4
    with pytest.raises(AssertionError):
        run_block("print(2)  # → 3: a promise\n", "", {})


# ── docstrings


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
    model.eval()
    images = jnp.asarray(digits.images[:2], jnp.float32) / 255
    public = {name: getattr(awn_jax, name) for name in awn_jax.__all__}
    return {
        **public,
        "config": config,
        "profile": profile,
        "model": model,
        "images": images,
        "jax": jax,
        "jnp": jnp,
        "nnx": nnx,
        "np": np,
    }


@pytest.mark.parametrize("test", list(examples()), ids=lambda test: test.name)
def test_docstring_examples_run(test, names):
    test.globs = {**names, **test.globs, "model": names["model"], "images": names["images"]}
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert not result.failed
