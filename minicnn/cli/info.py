"""`minicnn info`: what is installed, and what can run here."""

import argparse
import os
import platform
from importlib import metadata
from typing import Any

import minicnn as mc
from minicnn.backend import backend_problem, device_description, installed_wheels, on_gpu
from minicnn.backend.backends import BACKENDS


def add_parser(commands: Any) -> None:
    """Add the command to the others."""
    info = commands.add_parser(
        "info", help="show versions and which backends can run", description=info_command.__doc__
    )
    info.set_defaults(run=info_command)


def info_command(arguments: argparse.Namespace) -> int:
    """Show the versions of minicnn and of what it stands on, and which backends can run here."""
    print(f"minicnn {mc.__version__}, Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    print(f"threads: {mc.get_num_threads()} (MINICNN_NUM_THREADS or mc.set_num_threads changes that)")
    print("\npackages")
    for package in (
        "numpy",
        "scipy",
        "numba",
        "scikit-learn",
        "matplotlib",
        "tqdm",
        "pooch",
        "pillow",
        *(installed_wheels() or ["cupy"]),
    ):
        print(f"  {package:<14} {_version(package)}")
    print("\nbackends")
    for name in BACKENDS:
        problem = backend_problem(name)
        in_use = " (in use)" if name == mc.get_backend() else ""
        device = f": {device_description()}" if problem is None and on_gpu(name) else ""
        print(f"  {name:<14} {'ready' + in_use + device if problem is None else 'cannot run: ' + problem}")
    print(
        f"\ndata sets        {', '.join(mc.data.DATASETS)}; MINICNN_DATA is {os.environ.get('MINICNN_DATA', 'not set')}"
    )
    return 0


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
