"""Files survive a kill; a folder has one writer."""

import pathlib

import pytest

from awn_jax import files


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


def test_a_folder_is_claimed_by_one_run_at_a_time(tmp_path):
    first = files.claim(tmp_path)
    assert first is not None
    with pytest.raises(files.InUseError, match="in use by another run: let it end, or choose another --workdir"):
        files.claim(tmp_path)
    first.close()
    files.claim(tmp_path).close()
