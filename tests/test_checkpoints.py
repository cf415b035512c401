"""Checkpoints are told from damaged ones, and have room."""

import collections
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awn_jax.training import TrainState, checkpoints
from awn_jax.training.checksums import checksum, fits


def tree(**changes):
    arrays = {
        "a": jnp.arange(6, dtype=jnp.float32).reshape(2, 3),
        "b": [jnp.asarray(3), jnp.ones((2,), jnp.bfloat16)],
        "k": jax.random.key(0),
    }
    return {**arrays, **changes}


def test_no_flipped_bit_keeps_the_checksum():
    content = np.asarray(tree()["a"]).tobytes()
    sums = {checksum(tree())}
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        sums.add(checksum(tree(a=jnp.asarray(np.frombuffer(damaged, np.float32).reshape(2, 3)))))
    assert len(sums) == 1 + 8 * len(content)


@pytest.mark.parametrize(
    "changes",
    [
        {"a": jnp.arange(6, dtype=jnp.float32).reshape(3, 2)},
        {"a": jnp.arange(6, dtype=jnp.float32).reshape(2, 3).view(jnp.int32)},
        {"b": [jnp.ones((2,), jnp.bfloat16), jnp.asarray(3)]},
        {"k": jax.random.key(1)},
    ],
)
def test_shape_type_place_and_key_are_part_of_the_checksum(changes):
    assert not fits(tree(**changes), checksum(tree()))


def test_checkpoints_that_hold_sha256_are_read():
    # As the first versions wrote it.
    said = "e5790978fa68c234340e3c886b23c9719f5db4bd161a2e9eb66e32886a585d0c"
    assert fits(tree(), said)
    assert not fits(tree(b=[jnp.asarray(4), jnp.ones((2,), jnp.bfloat16)]), said)
    assert not fits(tree(), None)


def test_checkpoints_that_do_not_fit_on_the_disk_are_refused(tmp_path, monkeypatch):
    state = TrainState(jnp.zeros((), jnp.int32), {"w": jnp.zeros((1000,))}, {}, {"m": jnp.zeros((1000,))}, None)
    needed = 2 * (8000 + checkpoints.BYTES_BESIDE)
    usage = collections.namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(needed))
    checkpoints.check_room(tmp_path, state, 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(needed - 1))
    with pytest.raises(
        checkpoints.CheckpointError, match=re.escape(f"room for 2 checkpoints of this network, {needed:,}")
    ):
        checkpoints.check_room(tmp_path, state, 2)
