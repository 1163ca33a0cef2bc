"""Measures CRI runtimes from outside: what a kubelet would feel, and what a node pays.

``python -m test.bench --endpoint SOCKET [--vs SOCKET]`` measures runtimes that run already; ``python -m test.bench.run`` starts ours and
containerd privately, with the same images, network and OCI runtime, and compares them; ``python -m test.bench.mux`` measures what the
daemon's front door adds to a call.
"""
