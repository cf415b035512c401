"""Whose fault an error is."""

import sys

import jax.numpy as jnp
import pytest

from awn_jax import errors, registry, tasks


def test_an_error_of_the_users_own_code_names_its_line(tmp_path, monkeypatch):
    (tmp_path / "own_loss.py").write_text(
        "import jax.numpy as jnp\n\ndef loss(logits, labels):\n    return jnp.zeros(3) @ logits\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    task = tasks.Classification(registry.resolve("own_loss:loss", {}, "train.loss"))
    with pytest.raises(TypeError) as caught:
        task.losses(jnp.zeros((1, 2, 4)), jnp.zeros(2, jnp.int32))
    assert errors.own_code(caught.value) == f"{tmp_path / 'own_loss.py'}, line 4"
    del sys.modules["own_loss"]


def test_an_error_that_an_installed_package_raises_for_the_library_is_the_librarys():
    with pytest.raises(ValueError, match="broadcast") as caught:
        tasks.cross_entropy(jnp.zeros((1, 2, 4)), jnp.zeros((2, 3)))
    assert errors.own_code(caught.value) == ""
