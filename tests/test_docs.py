"""The examples in the documents run."""

import re

import jax
import pytest


@pytest.mark.parametrize("name", ["your_own.md"])
def test_examples_run(repository, name, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (repository / "docs" / name).read_text(), re.DOTALL)
    assert blocks
    scope = {}
    for block in blocks:
        exec(compile(block, name, "exec"), scope)
    printed = capsys.readouterr().out
    for line in blocks[0].splitlines():
        if line.startswith("print(") and "#" in line:
            promised = line.split("# ")[1].split(":")[0].strip()
            assert promised in printed
    assert jax.numpy.isfinite(scope["loss"])
