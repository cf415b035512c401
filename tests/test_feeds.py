"""In which order examples are seen: the same from all feeds, whatever reads them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import PIL.Image
import pytest

from awn_jax import data
from awn_jax.data import feeds
from awn_jax.data.feeds import order

HOST = data.Preparation((0.3,), (0.3,), "random_resized_crop, rand_augment", size=(12, 12)).transforms


@pytest.fixture(scope="module")
def photographs(tmp_path_factory, digits):
    """Forty digits in files of several sizes, to be read at 12 × 12."""
    folder = tmp_path_factory.mktemp("photographs")
    for index in range(40):
        place = folder / "train" / str(digits.labels[index])
        place.mkdir(parents=True, exist_ok=True)
        picture = PIL.Image.fromarray(digits.images[index].squeeze())
        picture.resize((20 + index % 7, 20 + index % 5)).save(place / f"{index:02}.png")
    return data.load(f"folder:{folder}", "train", image_size=(12,))


def make(examples, kind, transforms=data.UNCHANGED, workers=2):
    return data.make_feed(
        examples, data.data_mesh(), seed=1, batch_size=16, transforms=transforms, kind=kind, workers=workers
    )


def batches(feed, start, count):
    """The examples of some steps, stacked, as arrays."""
    rows = feed.steps(start, count)
    found = [feed.batch(feed.constants, jax.tree.map(lambda a, i=i: a[i], rows)) for i in range(count)]
    return {name: np.stack([np.asarray(each[name]) for each in found]) for name in found[0]}


def assert_equal(one, other):
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_order_shows_every_image_once_an_epoch_and_depends_on_the_step_alone(digits):
    stream = feeds.Stream(digits.take(50), data.UNCHANGED, 3, 8)
    seen = np.concatenate([stream.step(step) for step in range(25)])
    for epoch in range(4):
        assert sorted(seen[epoch * 50 : (epoch + 1) * 50]) == list(range(50))
    assert not np.array_equal(seen[:50], seen[50:100])
    np.testing.assert_array_equal(stream.step(6), seen[48:56])
    np.testing.assert_array_equal(order.order(3, 50, np.array([48])), seen[48:49])


def test_all_feeds_give_the_same_batches_and_workers_end_with_theirs(photographs):
    before = set(multiprocessing.active_children())
    made = {kind: make(photographs, kind) for kind in ("device", "host", "grain")}
    # Begun in the middle, as a run goes on; two and a half steps are an epoch.
    for start, count in ((9, 1), (10, 3)):
        seen = {kind: batches(feed, start, count) for kind, feed in made.items()}
        assert_equal(seen["device"], seen["host"])
        assert_equal(seen["device"], seen["grain"])
        expected = photographs.labels[np.stack([order_of(photographs, start + index) for index in range(count)])]
        np.testing.assert_array_equal(seen["device"]["label"], expected)
    assert set(multiprocessing.active_children()) - before
    for feed in made.values():
        feed.close()
        feed.close()
    assert not set(multiprocessing.active_children()) - before


def order_of(examples, step):
    return feeds.Stream(examples, data.UNCHANGED, 1, 16).step(step)


def test_what_transforms_draw_depends_on_the_position_alone(photographs):
    host, workers = make(photographs, "host", HOST), make(photographs, "grain", HOST, workers=1)
    one, other = batches(host, 4, 2), batches(workers, 4, 2)
    assert_equal(one, other)
    # Again from there, without what came before; then a later epoch, in which the same images look otherwise.
    assert_equal(batches(make(photographs, "host", HOST), 5, 1), {name: value[1:] for name, value in one.items()})
    plain = batches(make(photographs, "host"), 4, 2)
    assert not np.array_equal(one["image"], plain["image"])
    np.testing.assert_array_equal(one["label"], plain["label"])
    stream = feeds.Stream(photographs, HOST, 1, 16)
    [first], [again] = (
        np.flatnonzero(np.concatenate([stream.step(s) for s in range(5)]) == 3)[k : k + 1] for k in (0, 1)
    )
    assert not np.array_equal(stream.at(int(first))["image"], stream.at(int(again))["image"])
    workers.close()


def test_several_hosts_read_their_own_rows(photographs, monkeypatch):
    feed = make(photographs, "host")
    np.testing.assert_array_equal(feed.rows, np.arange(16))
    whole = feed.read(2, 0)
    monkeypatch.setattr(feed, "rows", np.array([4, 5, 6, 7]))
    part = feed.read(3, 0), feed.read(2, 0)
    np.testing.assert_array_equal(part[1]["image"], whole["image"][4:8])
    assert len(part[0]["label"]) == 4
    rows = feeds.workers._Rows(feed._stream, feed.rows, 2)
    np.testing.assert_array_equal(rows[1]["image"], whole["image"][5])
    np.testing.assert_array_equal(rows[4]["image"], part[0]["image"][0])


def test_the_feed_that_fits_is_chosen(digits, photographs, monkeypatch):
    kind = lambda *arguments: type(make(*arguments)).__name__  # noqa: E731
    assert kind(digits, "auto") == kind(photographs, "auto") == "DeviceFeed"
    assert (kind(digits, "auto", HOST), kind(photographs, "auto", HOST)) == ("HostFeed", "WorkerFeed")
    monkeypatch.setattr(feeds, "LARGE", 1000)
    assert (kind(digits, "auto"), kind(photographs, "auto")) == ("HostFeed", "WorkerFeed")
    with pytest.raises(
        ValueError, match="feed must be 'host' or 'grain' where images are transformed as they are read"
    ):
        make(digits, "device", HOST)


def test_a_picture_that_cannot_be_read_ends_workers_with_one_line(tmp_path):
    for name in ("a", "b"):
        for index in range(8):
            (tmp_path / "train" / name).mkdir(parents=True, exist_ok=True)
            PIL.Image.new("L", (12, 12), index).save(tmp_path / "train" / name / f"{index}.png")
    examples = data.load(f"folder:{tmp_path}", "train")
    (tmp_path / "train" / "b" / "3.png").write_bytes(b"")
    before = set(multiprocessing.active_children())
    for kind in ("host", "grain"):
        feed = make(examples, kind, workers=1)
        with pytest.raises(data.DataError, match=r"b/3\.png cannot be read as a picture: it is empty"):
            feed.steps(0, 1)
    assert not set(multiprocessing.active_children()) - before


PARENT = """
import multiprocessing, sys, time
from awn_jax import data
if __name__ == "__main__":
    examples = data.load("folder:" + sys.argv[1], "train", image_size=(12,))
    feed = data.make_feed(examples, data.data_mesh(), seed=0, batch_size=16, kind="grain", workers=1)
    feed.steps(0, 1)
    print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="processes are looked up there")
def test_workers_end_when_their_process_is_killed(tmp_path, photographs, repository, one_device):
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, tmp_path / "parent.py", photographs.records.folder]
    environment = {**one_device, "PYTHONPATH": str(repository)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as parent:
        worker = int(parent.stdout.readline())
        assert os.path.exists(f"/proc/{worker}")
        # Ctrl-C reaches all processes of a terminal; what it means is the parent's to say.
        os.kill(worker, signal.SIGINT)
        time.sleep(0.3)
        assert os.path.exists(f"/proc/{worker}")
        parent.kill()
        parent.communicate()
    for _ in range(100):
        if not os.path.exists(f"/proc/{worker}"):
            return
        time.sleep(0.1)
    pytest.fail("a worker has outlived its process")


def test_negative_seed_is_refused(digits):
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        data.make_feed(digits, data.data_mesh(), seed=-1, batch_size=8)


@pytest.mark.parametrize(("batch_size", "message"), [(12, "multiple of the 8 devices"), (1440, "at most the 1438")])
def test_batches_that_do_not_fit_are_refused(digits, batch_size, message):
    with pytest.raises(ValueError, match=f"batch_size must be .*{message}.* got {batch_size}"):
        data.make_feed(digits, data.data_mesh(), seed=0, batch_size=batch_size)


def test_once_through_reads_pictures_in_order(photographs):
    read = data.in_memory(photographs)
    seen = list(data.once_through(photographs, data.data_mesh(), 16))
    images, labels = (np.concatenate([np.asarray(batch[name]) for batch, _ in seen]) for name in ("image", "label"))
    counted = np.concatenate([np.asarray(counted) for _, counted in seen])
    np.testing.assert_array_equal(images[counted], read.images)
    np.testing.assert_array_equal(labels[counted], read.labels)
