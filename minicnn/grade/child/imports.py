"""What may be imported: the standard library but for what reaches out of the process, NumPy, Numba, a piece of minicnn.

Two doors stand one behind the other. The student's own `import` lines go through `guarded`, which explains what it
refuses. Whatever else imports something (NumPy does so when it is used, Numba when it compiles) passes `Gate`.
"""

import builtins
import sys
from importlib.abc import MetaPathFinder
from typing import Any

from minicnn.grade.child.places import Places

FORBIDDEN = frozenset(
    """
    asyncio asynchat asyncore builtins code codeop concurrent ctypes dbm ensurepip faulthandler fcntl ftplib gc http
    idlelib imaplib imp importlib mmap multiprocessing nntplib pdb pip pkgutil poplib posix pty pydoc resource runpy
    sched select selectors shelve signal site smtpd smtplib socket socketserver sqlite3 ssl subprocess sysconfig
    telnetlib termios threading tkinter tty turtle urllib venv webbrowser wsgiref xmlrpc zipapp zipimport
    """.split()  # noqa: SIM905 (a list of words is read more easily as words)
)
LIBRARIES = frozenset({"numpy", "numba", "llvmlite"})
MINICNN = frozenset({"minicnn", "minicnn.nn", "minicnn.ops", "minicnn.backend", "minicnn.errors"})
NUMBAS_OWN = frozenset({"scipy.linalg.cython_blas", "scipy.linalg.cython_lapack"})
"""Compiled code asks for these when it multiplies matrices, in the name of the student's function."""
NOT_IN_NUMPY = frozenset({"numpy.ctypeslib", "numpy.f2py", "numpy.distutils"})

_import = builtins.__import__


def guarded(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    """Import for a student's file. Raises `ImportError` with the reason for what is not allowed."""
    if name in NUMBAS_OWN and name in sys.modules and fromlist == []:  # as Python's C interface asks
        return sys.modules[name]
    problem = "other files are not there while a file is graded" if level else problem_with(name)
    if problem:
        raise ImportError(f"{name}: {problem}")
    return _import(name, globals, locals, fromlist, level)


def problem_with(name: str) -> str | None:
    """Say why a student's file may not import this module, or None if it may."""
    top = name.partition(".")[0]
    if top == "minicnn":
        return None if name in MINICNN else f"only {', '.join(sorted(MINICNN))} are there while a file is graded"
    if top in LIBRARIES:
        inside = any(name == closed or name.startswith(f"{closed}.") for closed in NOT_IN_NUMPY)
        return "this part of NumPy reaches out of the process, which is not allowed here" if inside else None
    if top in FORBIDDEN or (top.startswith("_") and top != "__future__"):
        return "this module reaches out of the process or into Python itself, which is not allowed here"
    if top in sys.stdlib_module_names:
        return None
    return (
        "only the standard library, NumPy and Numba may be used here. Write it yourself; "
        "and put what you need for trials under `if __name__ == '__main__':`"
    )


class Gate(MetaPathFinder):
    """Lets the standard library, NumPy and Numba find what they need, and nobody find anything else.

    Numba takes the addresses of linear algebra from SciPy, so it alone may import that.
    """

    def __init__(self, places: Places) -> None:
        self.places = places

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Return None, which leaves the search to Python. Raises `ModuleNotFoundError` for what is not allowed."""
        top = fullname.partition(".")[0]
        if top in LIBRARIES or top in sys.stdlib_module_names or top.startswith("_sysconfigdata"):
            return
        if top == "scipy" and self.places.caller() in ("numba", "scipy"):
            return
        raise ModuleNotFoundError(f"No module named {fullname!r} while a file is graded", name=fullname)


def builtins_for_student() -> dict[str, Any]:
    """Return Python's built-in names with the guarded import among them."""
    return {**vars(builtins), "__import__": guarded}
