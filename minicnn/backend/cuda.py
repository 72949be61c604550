"""What a GPU needs: a driver, a device, and CuPy in the wheel that fits. What is missing, and what mends it."""

import ctypes
import ctypes.util
import functools
import importlib.util
import os
from importlib import metadata

WHEELS = ("cupy-cuda12x", "cupy-cuda13x", "cupy")
"""The names under which CuPy is installed; all of them bring the same package `cupy`."""

_works = False


def cupy_problem() -> str | None:
    """Return why the backend "cupy" cannot run here, with the command that mends it, or None when it can."""
    global _works
    if not _works:
        problem = _problem()
        if problem:
            return problem
        _works = True  # only real work on the device is a test, but one is enough
    return None


def installed_wheels() -> list[str]:
    """Return the names under which CuPy is installed."""
    return [wheel for wheel in WHEELS if _version(wheel)]


def driver_version() -> tuple[int, int] | None:
    """Return the newest CUDA that the driver of this machine can run, as (13, 0); None where there is no driver."""
    name = ctypes.util.find_library("cuda") or ("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    try:
        driver, number = ctypes.CDLL(name), ctypes.c_int()
        if driver.cuDriverGetVersion(ctypes.byref(number)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return number.value // 1000, number.value % 1000 // 10


def device_description() -> str:
    """Return the GPU in words, for `minicnn info`. Only to be asked where `cupy_problem` finds none."""
    import cupy

    device = cupy.cuda.Device()
    properties = cupy.cuda.runtime.getDeviceProperties(device.id)
    name = properties["name"].decode() if isinstance(properties["name"], bytes) else properties["name"]
    driver, runtime = cupy.cuda.runtime.driverGetVersion(), cupy.cuda.runtime.runtimeGetVersion()
    memory = properties["totalGlobalMem"] / 2**30
    return f"{name}, {memory:.0f} GiB; driver for CUDA {_dotted(driver)}, CuPy for CUDA {_dotted(runtime)}"


def _problem() -> str | None:
    wheels = installed_wheels()
    if len(wheels) > 1:
        return (
            f"{' and '.join(wheels)} are both installed and overwrite each other; run: "
            f"pip uninstall {' '.join(wheels)}, then: {_install()}"
        )
    driver = driver_version()
    if importlib.util.find_spec("cupy") is None:
        seen = (
            "no NVIDIA driver was found either" if driver is None else f"the driver runs CUDA {driver[0]}.{driver[1]}"
        )
        return f"CuPy is not installed ({seen}); run: {_install()}"
    if driver is None:
        return "no NVIDIA driver was found, so there is no GPU to use; install one, and see whether nvidia-smi runs"
    needed = next((int(wheel[9:11]) for wheel in wheels if wheel != "cupy"), 0)
    if driver[0] < needed:
        return (
            f"{wheels[0]} needs a driver for CUDA {needed}, and this one runs CUDA {driver[0]}.{driver[1]}; update the "
            f"driver, or run: pip uninstall {wheels[0]}, then: {_install()}"
        )
    return _device_problem()


def _device_problem() -> str | None:
    """Compute something. Importing CuPy succeeds without a GPU, and so does much else."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        import cupy

        if cupy.cuda.runtime.getDeviceCount() == 0:
            raise RuntimeError("no device")
    except Exception as error:
        if hidden is not None:
            return (
                f"CUDA_VISIBLE_DEVICES is {hidden!r}, which shows no GPU to this process ({_first_line(error)}); "
                "run: unset CUDA_VISIBLE_DEVICES"
            )
        return f"CuPy finds no GPU ({_first_line(error)}); run nvidia-smi to see whether the driver does"
    try:
        ones = cupy.ones((2, 2), dtype=cupy.float32)
        if float((ones @ ones).sum()) != 8.0:  # a product needs cuBLAS, a sum a compiler
            return f"CuPy computes wrong results on this device; reinstall it and the driver: {_install()}"
    except Exception as error:
        return (
            f"CuPy finds a GPU but cannot compute on it ({_first_line(error)}); the CUDA libraries may be missing, "
            f"which [ctk] brings; run: {_install()}"
        )
    return None


def _install() -> str:
    """Return the command that installs the wheel for this machine's driver."""
    driver = driver_version()
    if driver is None:
        return "pip install 'cupy-cuda13x[ctk]' (or 'cupy-cuda12x[ctk]' for an older driver: nvidia-smi shows its CUDA)"
    return f"pip install 'cupy-cuda{'12' if driver[0] < 13 else '13'}x[ctk]'"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


@functools.cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
