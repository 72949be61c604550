"""Weights in and out as safetensors files, which PyTorch, JAX and others read and write.

A file holds names, shapes and numbers and nothing that could be run. PyTorch's own `.pt` and `.pth` files are pickles:
reading one runs whatever its author put there, so they are refused.

Parameters and buffers have PyTorch's names and layouts already, so a state_dict of PyTorch's fits as it is:

    safetensors.torch.save_file(torch_model.state_dict(), "weights.safetensors")       # in PyTorch
    load_safetensors(model, "weights.safetensors")                                     # here
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from minicnn.errors import ArgumentError, CheckpointError, DependencyError, OutputError, expect_kind, listed
from minicnn.nn import Layer
from minicnn.train.files import replace_file

Rename: TypeAlias = Mapping[str, str | None] | Callable[[str], str | None]

DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BOOL": np.bool_,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8,
    "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8,
}  # fmt: skip
"""NumPy's types by the names that the format has for them. "BF16" is dealt with apart: NumPy has none."""
UNTRAINED = "num_batches_tracked"
"""PyTorch's counter of batches in batch norm. Many files lack it, and no output depends on it."""


def load_safetensors(
    model: Layer, path: str | Path, *, rename: Rename | None = None, strict: bool = True
) -> tuple[list[str], list[str]]:
    """Give a model the parameters and buffers in a safetensors file.

    Numbers are converted to the model's float32 or float64. float16 and bfloat16 lose nothing by that.

    Parameters
    ----------
    model : Layer
        Takes the weights.
    path : path
        The file.
    rename : mapping or function, optional
        From the file's names to the model's, where they differ. A mapping has whole names or beginnings of dotted
        names, of which the longest counts: {"features": "0", "fc": "1.4"} makes "fc.weight" "1.4.weight"; "" takes a
        beginning away. A function gets every name. None in place of a name leaves that entry out.
    strict : bool
        Insist that the file has everything that the model has, and nothing else. Counters of batch norm
        ("num_batches_tracked") may be there or not.

    Returns
    -------
    missing, unexpected : lists of str
        What the model has and the file has not, and the other way round; both are empty when strict.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or of another kind, has numbers of a type that NumPy lacks, or does not fit the
        model. The model then stays as it was.
    ArgumentError
        If `rename` gives two entries one name, or a beginning that no entry has.
    DependencyError
        If the package safetensors is not installed.
    """
    expect_kind(Layer, model, "model")
    tensors = _renamed(_read(Path(path)), rename)
    own = model.state_dict()
    state = {name: value for name, value in tensors.items() if name in own or not _is_counter(name)}
    if not strict:
        missing, unexpected = _load(model, state, path, strict=False)
        return [name for name in missing if not _is_counter(name)], unexpected
    return _load(model, {name: own[name] for name in own if _is_counter(name)} | state, path, strict=True)


def save_safetensors(model: Layer, path: str | Path) -> None:
    """Write a model's parameters and buffers to a safetensors file, in one step.

    PyTorch reads it: `torch_model.load_state_dict(safetensors.torch.load_file(path))`.

    Raises
    ------
    OutputError
        If the file cannot be written, or does not hold the model's numbers; an old file is then still there.
    DependencyError
        If the package safetensors is not installed.
    """
    expect_kind(Layer, model, "model")
    _package()
    from safetensors.numpy import save

    # The package writes the memory of an array as it lies, without a word, where it is not in rows (its issue 825).
    state = {name: np.ascontiguousarray(value).reshape(value.shape) for name, value in model.state_dict().items()}
    content = save(state, metadata={"format": "pt"})  # names and layouts are PyTorch's
    written = _tensors(content, path)
    wrong = [name for name, value in state.items() if written[name].tobytes() != value.tobytes()]
    if wrong:
        raise OutputError(f"cannot write {path}: safetensors does not give back what it was given for {listed(wrong)}")
    replace_file(Path(path), lambda file: file.write(content))


def _load(model: Layer, state: Mapping[str, Any], path: str | Path, *, strict: bool) -> tuple[list[str], list[str]]:
    try:
        return model.load_state_dict(state, strict=strict)
    except CheckpointError as error:
        hint = "; rename={...} maps the file's names to the model's" if "not in this model" in str(error) else ""
        raise CheckpointError(f"{path}: {error}{hint}") from None


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return what is in a file. Raises `CheckpointError` if it is missing, damaged or of another kind."""
    _package()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from None
    return _tensors(content, path)


def _tensors(content: bytes, path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays in the bytes of a file, by name."""
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(content)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file, {_what_else(Path(path), content, error)}") from None
    return {name: _array(name, entry, path) for name, entry in entries}


def _what_else(path: Path, content: bytes, error: Exception) -> str:
    """Return what a file may be that is no safetensors file, and what to do with it."""
    if path.suffix == ".npz":
        return "but an .npz file; minicnn.train.load_weights(model, path) reads minicnn's own"
    if content[:2] != b"PK" and content[:1] != b"\x80":  # a zip archive, a pickle
        return f"or it is damaged or cut off ({error}); fetch or write it again"
    return (
        "but looks like PyTorch's own format, a pickle, which may run any code when it is read. Convert it where you "
        "trust it, in PyTorch: safetensors.torch.save_file(torch.load(path, weights_only=True), 'weights.safetensors') "
        "if it holds a state_dict, or safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
    )


def _array(name: str, entry: Mapping[str, Any], path: str | Path) -> np.ndarray:
    kind, shape = entry["dtype"], entry["shape"]
    if kind == "BF16":  # the upper half of a float32
        upper = np.frombuffer(entry["data"], dtype="<u2").astype(np.uint32)
        return (upper << 16).view(np.float32).reshape(shape)
    if kind not in DTYPES:
        raise CheckpointError(
            f"{path}: the entry {name!r} is of type {kind}, which NumPy lacks; convert it to float32 before it is saved"
        )
    little_endian = np.dtype(DTYPES[kind]).newbyteorder("<")
    return np.frombuffer(entry["data"], dtype=little_endian).astype(DTYPES[kind]).reshape(shape)


def _renamed(tensors: dict[str, np.ndarray], rename: Rename | None) -> dict[str, np.ndarray]:
    """Return the arrays under the model's names."""
    if rename is None:
        return tensors
    new_name = _by_beginnings(rename, list(tensors)) if isinstance(rename, Mapping) else rename
    if not callable(new_name):
        raise ArgumentError(f"rename must be a mapping of names or a function, not {rename!r}")
    pairs = [(new_name(name), value) for name, value in tensors.items()]
    wrong = next((new for new, _ in pairs if not isinstance(new, str | None)), None)
    if wrong is not None:
        raise ArgumentError(f"rename must give names, or None for what is left out, not {wrong!r}")
    twice = [new for new, count in Counter(new for new, _ in pairs if new is not None).items() if count > 1]
    if twice:
        raise ArgumentError(f"rename gives several entries the name {listed(twice)}")
    return {new: value for new, value in pairs if new is not None}


def _by_beginnings(mapping: Mapping[str, str | None], names: list[str]) -> Callable[[str], str | None]:
    """Return the function that replaces the longest beginning of a dotted name that the mapping has."""

    def has_beginning(name: str, beginning: str) -> bool:
        return beginning in ("", name) or name.startswith(f"{beginning}.")

    for beginning in mapping:
        if not any(has_beginning(name, beginning) for name in names):
            raise ArgumentError(f"rename has {beginning!r}, but no name in the file begins so: {listed(names)}")

    def new_name(name: str) -> str | None:
        found = max((beginning for beginning in mapping if has_beginning(name, beginning)), key=len, default=None)
        if found is None:
            return name
        new, rest = mapping[found], name[len(found) + 1 :] if found else name
        return None if new is None else ".".join(filter(None, (new, rest)))

    return new_name


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] == UNTRAINED


def _package() -> None:
    """Raise `DependencyError` unless safetensors is installed."""
    try:
        import safetensors  # noqa: F401
    except ImportError:
        raise DependencyError("safetensors is not installed; run: pip install safetensors") from None
