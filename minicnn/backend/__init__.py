"""Floor 0: which array library holds the numbers, which kernels work on them, and where randomness comes from."""

from minicnn.backend.arrays import Array, array_module, special_functions, to_backend, to_host
from minicnn.backend.backends import (
    Backend,
    available_backends,
    backend_of,
    backend_problem,
    get_backend,
    on_gpu,
    set_backend,
    usable_backend,
    use_backend,
)
from minicnn.backend.compiling import Compilation
from minicnn.backend.cuda import device_description, installed_wheels
from minicnn.backend.keys import CounterRng, Key, default_rng, seed, seeded
from minicnn.backend.slots import Slot, dispatch_state, plain_body, plug, slot, slots
from minicnn.backend.threads import get_num_threads, in_threads, parts_of, pieces_of, run_parts, set_num_threads
from minicnn.backend.upload import Upload

__all__ = [
    "Array",
    "Backend",
    "Compilation",
    "CounterRng",
    "Key",
    "Slot",
    "Upload",
    "array_module",
    "available_backends",
    "backend_of",
    "backend_problem",
    "default_rng",
    "device_description",
    "dispatch_state",
    "get_backend",
    "get_num_threads",
    "in_threads",
    "installed_wheels",
    "on_gpu",
    "parts_of",
    "pieces_of",
    "plain_body",
    "plug",
    "run_parts",
    "seed",
    "seeded",
    "set_backend",
    "set_num_threads",
    "slot",
    "slots",
    "special_functions",
    "to_backend",
    "to_host",
    "usable_backend",
    "use_backend",
]
