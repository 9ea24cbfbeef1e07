"""TensorRT 8.5 to 11 and TensorRT-RTX behind one backend, which asks for features by name."""
