"""The GPU backend, proved without a GPU; and on one, where there is one (`pytest -m gpu`).

strict_cupy.py   a stand-in for CuPy that refuses what a GPU would refuse (strict_*.py are its parts)
cpu_cuda.py      the CUDA C kernels on the CPU, through g++ and cuda_shim.h
nvrtc.py         NVIDIA's compiler as a gate: the same source, for every card in use
receipt.py       which state of the GPU sources was last seen green on a card
"""
