"""Files survive a kill; a folder has one writer."""

import json
import pathlib

import pytest

from awn_jax import files, sealed
from awn_jax.training.progress import MetricsLog, read_metrics


def test_a_write_that_is_killed_leaves_the_file_before_it(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    files.write_text(path, "before")

    def killed(self, content):
        with self.open("wb") as file:
            file.write(content[:2])
        raise KeyboardInterrupt

    monkeypatch.setattr(pathlib.Path, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        files.write_text(path, "after")
    assert path.read_text() == "before"


def test_a_file_that_is_to_be_written_may_be_no_folder(tmp_path):
    (tmp_path / "sweep.json").mkdir()
    assert files.folder(tmp_path, "--out", ["sweep.csv"]) == tmp_path
    with pytest.raises(files.NotWritableError, match=r"sweep\.json must be a file or not there yet, and is a folder"):
        files.folder(tmp_path, "--out", ["sweep.csv", "sweep.json"])


def test_a_folder_is_claimed_by_one_run_at_a_time(tmp_path):
    first = files.claim(tmp_path)
    assert first is not None
    with pytest.raises(files.InUseError, match="in use by another run: let it end, or choose another --workdir"):
        files.claim(tmp_path)
    first.close()
    files.claim(tmp_path).close()


def edited(path, **changes):
    """The file with other values and the checksum that it had."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_sealed_file_says_what_was_written_or_is_refused(tmp_path):
    path = tmp_path / "run.json"
    sealed.write(path, {"classes": 10, "size": (28, 28), "names": {1: "one"}})
    assert sealed.read(path) == {"classes": 10, "size": [28, 28], "names": {"1": "one"}}
    edited(path, classes=11)
    with pytest.raises(sealed.SealError, match=r"run\.json is not what was written: it is damaged, or has been edited"):
        sealed.read(path)


def test_a_file_without_a_seal_is_believed_and_what_is_no_object_is_not(tmp_path):
    path = tmp_path / "run.json"
    path.write_text('{"classes": 10}')
    assert sealed.read(path) == {"classes": 10}
    path.write_text("[1]")
    with pytest.raises(files.UnreadableError, match="is not a JSON object"):
        sealed.read(path)


def test_what_people_edit_is_used_with_a_warning_if_it_makes_sense(tmp_path):
    path = tmp_path / "config.json"
    sealed.write(path, {"rate": 1})
    edited(path, rate=2)
    with pytest.warns(sealed.SealWarning, match="has been edited"):
        assert sealed.read_edited(path, lambda content: 10 * content["rate"]) == 20
    with pytest.raises(sealed.SealError, match=r"has been edited \(rate must be 1\)"):
        sealed.read_edited(path, refuse)


def refuse(content):
    raise ValueError("rate must be 1")


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path):
    with pytest.raises(files.NotWritableError, match="workdir must have a name that is text"):
        files.folder(f"{tmp_path}/\udcff", "workdir")
    assert not list(tmp_path.iterdir())


def test_no_flipped_bit_of_a_log_passes(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, 0)
    log.write({"step": 1, "loss": 2.5})
    log.close()
    content = path.read_bytes()
    for bit in range(8 * (len(content) - 1)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        lines, lost = read_metrics(path)
        assert lost or lines == [json.loads(content)], bytes(damaged)
