"""One store shared with podman, skopeo and buildah of two generations; the tests are the items of the checklist, by number."""
