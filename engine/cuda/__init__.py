"""What runs on an NVIDIA device beside the networks: pictures made into inputs, heatmaps made into peaks.

The kernels are CUDA C++ (`*.cu`), compiled at run time for the device at hand. `device` is what the rest of
the engine sees of a device, `driver` is the real one, and every kernel has a twin in NumPy that says what it
computes.
"""
