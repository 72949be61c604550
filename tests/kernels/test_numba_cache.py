"""The cache on disk: kept while the sources are the same, emptied when one of them changes."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("numba", reason="Numba is not installed")

import minicnn.kernels.numba as kernels
from minicnn.kernels.numba.cache import STAMP, forget_if_sources_changed


@pytest.fixture
def sources(tmp_path):
    shutil.copytree(Path(kernels.__file__).parent, tmp_path / "sources", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "sources"


@pytest.fixture
def kernel(tmp_path):
    """Something that keeps what it is compiled to in a folder."""
    return SimpleNamespace(_cache=SimpleNamespace(cache_path=str(tmp_path / "cache")))


def fill(kernel):
    folder = Path(kernel._cache.cache_path)
    for name in ("direct.pack.nbi", "direct.pack.1.nbc", "direct.cpython-311.pyc"):
        (folder / name).touch()
    return lambda: {file.name for file in folder.iterdir()} - {STAMP}


def test_a_change_in_any_file_empties_it(kernel, sources):
    forget_if_sources_changed(kernel, sources)
    kept = fill(kernel)
    forget_if_sources_changed(kernel, sources)
    assert kept() == {"direct.pack.nbi", "direct.pack.1.nbc", "direct.cpython-311.pyc"}
    frame = sources / "frame.py"
    frame.write_text(frame.read_text() + "\n# another line\n")
    forget_if_sources_changed(kernel, sources)
    assert kept() == {"direct.cpython-311.pyc"}, "what Python keeps there is its own affair"


def test_a_cache_that_cannot_be_written_to_is_no_error(kernel, sources):
    blocked = Path(kernel._cache.cache_path)
    blocked.touch()  # a file stands where the folder should be
    forget_if_sources_changed(kernel, sources)
    assert blocked.is_file()


def test_the_package_has_stamped_its_own():
    folder = Path(kernels.pack._cache.cache_path)
    assert (folder / STAMP).exists()
