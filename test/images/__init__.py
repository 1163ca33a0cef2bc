"""The offline image kit: container images put together from the machine's own packages, the same bytes each time.

No public registry is needed. ``python -m test.images build DIR`` writes an OCI layout of every image, and ``push
HOST:PORT`` uploads them to a registry under the repository paths of the originals, so that ``registry.k8s.io/pause:3.10.1``
is found at ``HOST:PORT/pause:3.10.1`` and a mirror entry of registries.conf is all that a runtime needs.

``layers`` makes one layer from a list of entries (hostile ones too), ``build`` makes manifests and lists of them,
``programs`` and ``busybox`` compile what the images contain, ``catalog`` names the images, ``layout`` and ``push`` bring them out.
"""
