"""What runs a component: ONNX Runtime and PyTorch here; TensorRT has its place beside them."""
