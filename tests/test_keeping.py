import io
import os
import re
import zipfile
from pathlib import Path

import pytest
from directories import empty_run

from charlstm.errors import RunError
from charlstm.files import exclusive, is_held
from charlstm.runs.directory import RunDirectory
from charlstm.runs.keeping import is_training, remove, rename, size, write_zip


@pytest.fixture
def run(root: Path) -> RunDirectory:
    run = empty_run(root / "song")
    (run.path / "run.json").write_bytes(b"{}")
    (run.path / "draft.txt").write_bytes("我\n".encode())
    return run


def test_a_run_gets_another_name_and_keeps_its_files(run: RunDirectory) -> None:
    other = rename(run, "我的 歌")
    assert other.path == run.path.with_name("我的 歌")
    assert (other.path / "draft.txt").read_bytes() == "我\n".encode()
    assert not run.path.exists()
    assert rename(other, "我的 歌").path == other.path


@pytest.mark.parametrize("name", ["../elsewhere", ".hidden", "a/b", "", "nul", "x" * 121])
def test_no_name_leads_out_of_the_root(run: RunDirectory, name: str) -> None:
    with pytest.raises(RunError, match="A run cannot be called"):
        rename(run, name)
    assert run.path.is_dir()


def test_a_name_that_is_taken_is_refused_whatever_has_it(run: RunDirectory) -> None:
    for taken in ("other", "file", "link"):
        path = run.path.with_name(taken)
        if taken == "other":
            path.mkdir()
        elif taken == "file":
            path.write_bytes(b"mine")
        else:
            path.symlink_to("nowhere")
        with pytest.raises(RunError, match=f"There is {taken} already in .*: choose another name"):
            rename(run, taken)
    assert run.path.is_dir()


def test_a_removed_run_is_gone_with_all_that_was_in_it(run: RunDirectory) -> None:
    (run.path / "tensorboard").mkdir()
    (run.path / "tensorboard" / "events").write_bytes(b"figures")
    remove(run)
    assert list(run.path.parent.iterdir()) == []
    with pytest.raises(RunError, match="There is no run called song any more"):
        remove(run)


@pytest.mark.parametrize(
    ("lock", "why"),
    [(".lock", "A training is running in"), (".draft.lock", "A song of .* is open")],
)
def test_nothing_is_done_to_a_run_that_somebody_uses(
    run: RunDirectory, lock: str, why: str
) -> None:
    with exclusive(run.path / lock, "busy"):
        assert is_training(run) == (lock == ".lock")
        with pytest.raises(RunError, match=why):
            remove(run)
        with pytest.raises(RunError, match=why):
            rename(run, "other")
    assert not is_training(run)
    rename(run, "other")


def test_links_are_neither_followed_nor_removed_nor_handed_on(
    run: RunDirectory, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(b"x" * 10_000)
    before = size(run)
    (run.path / "model.safetensors").symlink_to(outside / "secret.txt")
    (run.path / "tensorboard").symlink_to(outside)
    assert size(run) == before
    packed = io.BytesIO()
    write_zip(run, packed)
    assert zipfile.ZipFile(packed).namelist() == ["song/draft.txt", "song/run.json"]
    link = run.path.with_name("link")
    link.symlink_to(run.path)
    for change in (remove, lambda run: rename(run, "other")):
        with pytest.raises(RunError, match="link is a link to a run elsewhere, which is not"):
            change(RunDirectory(link))
    remove(run)
    assert (outside / "secret.txt").stat().st_size == 10_000


def test_a_packed_run_holds_every_file_but_what_is_hidden(run: RunDirectory) -> None:
    with exclusive(run.path / ".lock", "busy"):
        packed = io.BytesIO()
        write_zip(run, packed)
    archive = zipfile.ZipFile(packed)
    assert archive.testzip() is None
    assert archive.read("song/draft.txt") == "我\n".encode()
    assert not re.search(r"\.lock", " ".join(archive.namelist()))


def test_whether_a_lock_is_held_is_seen_without_making_or_keeping_it(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    assert not is_held(lock)
    assert not lock.exists()
    with exclusive(lock, "busy"):
        assert is_held(lock)
    assert not is_held(lock)


@pytest.mark.skipif(os.name == "nt", reason="no directory there is read only")
def test_what_cannot_be_removed_says_so_and_stays(run: RunDirectory) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may write anywhere")
    run.path.parent.chmod(0o500)
    try:
        with pytest.raises(RunError, match="cannot be removed"):
            remove(run)
    finally:
        run.path.parent.chmod(0o700)
    assert (run.path / "draft.txt").exists()
