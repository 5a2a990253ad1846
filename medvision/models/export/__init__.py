"""Trained models as graphs for other runtimes: ONNX, OpenVINO, `torch.export`."""
