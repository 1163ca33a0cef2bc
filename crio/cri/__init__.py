"""The gRPC edge: the CRI contract, protobuf to core values and back, status codes."""
