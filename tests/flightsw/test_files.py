import os
from pathlib import Path

import pytest

from flightsw.errors import InputError, UsageError
from flightsw.files import prepare_folder, read_bytes, read_text, write_together


@pytest.mark.verifies("RUN-002")
def test_a_gigabyte_is_refused_by_its_size_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(1_000_000_000)  # sparse: takes no room on the disk
    with pytest.raises(InputError, match=r"huge\.csv: is too large: 1000\.0 MB"):
        read_bytes(path, max_bytes=64_000_000)


@pytest.mark.verifies("RUN-002")
def test_a_file_that_lies_about_its_size_is_cut_off_at_the_limit() -> None:
    path = Path("/proc/self/maps")  # says 0 bytes
    if not path.exists():
        pytest.skip("needs /proc")
    with pytest.raises(InputError, match="is too large"):
        read_bytes(path, max_bytes=10)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: None, "does not exist"),
        (lambda p: p.mkdir(), "is a folder"),
        (lambda p: p.write_bytes(b""), "is empty"),
        (lambda p: os.mkfifo(p), "is not a regular file"),
        (lambda p: p.write_bytes(b"a\nb\xff\n"), r"line 2: is not UTF-8: byte 0xff"),
        (lambda p: p.write_bytes(b"a\0b"), "is not text: a zero byte at offset 1"),
    ],
)
@pytest.mark.verifies("RUN-001")
def test_what_is_not_a_text_file_is_named(tmp_path: Path, make, words: str) -> None:
    path = tmp_path / "some.file"
    make(path)
    with pytest.raises(InputError, match=words) as caught:
        read_text(path, max_bytes=1000)
    assert "some.file" in str(caught.value)


def test_a_path_with_a_zero_byte_is_an_input_error() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_bytes("a\0b", max_bytes=10)


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "bom.txt"
    path.write_bytes(b"\xef\xbb\xbfabc")
    assert read_text(path, max_bytes=10) == "abc"


@pytest.mark.verifies("RUN-003")
def test_files_written_together_replace_the_stale_ones(tmp_path: Path) -> None:
    for name in ("a", "b", "stale"):
        (tmp_path / name).write_text("old")
    write_together(tmp_path, {"a": "new", "b": b"new"}, stale=("stale", "b"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() == "new"


@pytest.mark.verifies("RUN-003")
def test_a_write_that_fails_midway_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(UnicodeEncodeError):  # stands for a full disk: the second file fails
        write_together(tmp_path, {"a": "new", "b": "\ud800"}, stale=("a",))
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.verifies("RUN-003")
@pytest.mark.parametrize("place", ["file/out", "/proc/no/such", "/dev/null/out"])
def test_an_unwritable_folder_is_a_usage_error_for_root_too(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another output folder"):
        prepare_folder(tmp_path / place)


@pytest.mark.verifies("RUN-003")
def test_a_folder_in_the_place_of_a_file_is_found_before_anything_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match="a folder of that name is there"):
        write_together(tmp_path, {"a": "new", "b": "new"})
    assert (tmp_path / "a").read_text() == "old"


def test_written_files_have_ordinary_permissions(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        write_together(tmp_path, {"a": "x"})
    finally:
        os.umask(mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
