"""Floor 5: weights from other libraries, and for them."""

from minicnn.interop.weights import load_safetensors, save_safetensors

__all__ = ["load_safetensors", "save_safetensors"]
