"""The images of the kit, by the references of their originals."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from test.images import programs
from test.images.build import Built, Format, Image, Process, as_list, both_architectures, build
from test.images.layers import Layer, directory, file, layer, opaque, program, whiteout, with_parents

STAGING = "gcr.io/k8s-staging-cri-tools"
E2E = "registry.k8s.io/e2e-test-images"

PAUSE = "registry.k8s.io/pause:3.10.1"
WEB = "registry.k8s.io/crio-demo/web:1"
REDIS = "registry.k8s.io/crio-test/redis:7"
BUSYBOX = f"{E2E}/busybox:1.29-2"
BUSYBOX_OCI = "registry.k8s.io/crio-test/busybox:oci"
BUSYBOX_DOCKER = "registry.k8s.io/crio-test/busybox:docker"
NGINX = f"{E2E}/nginx:1.14-2"
HTTPD = f"{E2E}/httpd:2.4.39-4"
LAYERED = "registry.k8s.io/crio-test/layered:1"

SHELL = Process(command=("sh",))
# The page's port of the suite's web server in the network of the host.
HOST_PORT = 12003


@dataclass(frozen=True, slots=True)
class Reference:
    """A name of an image in parts: the registry it comes from, the repository below it, and the tag."""

    registry: str
    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}"


@dataclass(frozen=True)
class Named:
    """An image and every reference that names it. Not slotted: the finished image is kept on it."""

    references: tuple[Reference, ...]
    image: Image

    @functools.cached_property
    def built(self) -> Built:
        """The documents and blobs of the image."""
        return build(self.image)


def parse(text: str) -> Reference:
    """The parts of ``registry/repository[:tag]``; the kit's own references only, so nothing is guessed but ``latest``."""
    registry, _, rest = text.partition("/")
    repository, colon, tag = rest.rpartition(":")
    return Reference(registry, repository, tag) if colon else Reference(registry, rest, "latest")


def _named(image: Image, *references: str) -> Named:
    return Named(tuple(parse(reference) for reference in references), image)


def _shell(*more: Layer, process: Process = SHELL) -> Image:
    return Image((programs.base_layer(), *more), process)


def _demo(*more: Layer, process: Process = SHELL) -> Image:
    return Image((programs.demo_layer(), *more), process)


def _docker(image: Image) -> Image:
    return replace(image, format=Format.DOCKER)


def _pauses() -> Iterator[Named]:
    process = Process(entrypoint=("/pause",), user="65535:65535")
    image = Image((layer([program("pause", programs.pause())]),), process)
    yield _named(as_list(_docker(image)), PAUSE, "registry.k8s.io/pause:3.10")
    older = Image(image.layers, replace(process, labels={"version": "3.9"}))
    yield _named(as_list(_docker(older)), "registry.k8s.io/pause:3.9", "k8s.gcr.io/pause:3.9")


def _busyboxes() -> Iterator[Named]:
    yield _named(as_list(_docker(_shell())), BUSYBOX, f"{E2E}/busybox:1.37.0-1")


def _single_manifests() -> Iterator[Named]:
    yield _named(_demo(process=replace(SHELL, labels={"kind": "oci"})), BUSYBOX_OCI)
    yield _named(_docker(_demo(process=replace(SHELL, labels={"kind": "docker"}))), BUSYBOX_DOCKER)


def _demos() -> Iterator[Named]:
    page = "<!doctype html><title>It works</title><p>Hello from a pod.</p>\n"
    web = with_parents([file("www/index.html", page), program("usr/local/bin/web-start", programs.words("web-start"))])
    process = Process(entrypoint=("/usr/local/bin/web-start",), ports=("8080/tcp",), user="33:33", working_dir="/www")
    yield _named(as_list(_demo(layer(web), process=process)), WEB)
    redis = [program(f"usr/local/bin/{name}", programs.words(name)) for name in ("redis-server", "redis-answer")]
    redis.append(directory("data", owner=(33, 33)))
    process = Process(
        entrypoint=("redis-server",),
        ports=("6379/tcp",),
        working_dir="/data",
        volumes=("/data",),
        env=(*Process().env, "REDIS_VERSION=7"),
    )
    yield _named(_docker(_demo(layer(with_parents(redis)), process=process)), REDIS)


def _layered() -> Iterator[Named]:
    """Ten layers over the base: files replaced, hidden, and a directory emptied."""
    layers = [layer(with_parents([file(f"data/file-{number}", f"layer {number}\n")])) for number in range(8)]
    layers.append(layer(with_parents([file("data/file-0", "layer 8\n"), whiteout("data/file-1"), file("old/gone", "x\n")])))
    layers.append(layer(with_parents([opaque("old"), file("old/kept", "layer 9\n")])))
    yield _named(as_list(_demo(*layers)), LAYERED)


def _staging() -> Iterator[Named]:
    """The images of the validation suite's image, user and group specs."""
    for number in ("1", "2", "3"):
        mark = layer([file(f"test-image-{number}", "")])
        yield _named(as_list(_docker(_shell(mark))), f"{STAGING}/test-image-{number}:latest")
    tags = layer([file("test-image-tags", "")])
    yield _named(as_list(_shell(tags)), *(f"{STAGING}/test-image-tags:{number}" for number in (1, 2, 3)))
    for repository, tag in (("latest", "latest"), ("tag", "test"), ("tag", "all"), ("digest", "test")):
        mark = layer([file(f"test-image-{repository}-{tag}", "")])
        yield _named(as_list(_docker(_shell(mark))), f"{STAGING}/test-image-{repository}:{tag}")
    users = {"uid": "1002", "username": "www-data", "uid-group": "1003:1004", "username-group": "www-data:1004"}
    for name, user in users.items():
        image = _docker(_shell(process=replace(SHELL, user=user)))
        yield _named(as_list(image), f"{STAGING}/test-image-user-{name}:latest")
    members = [
        file("etc/passwd", programs.PASSWD + "default-user:x:1000:1000::/home/default-user:/bin/sh\n"),
        file("etc/group", programs.GROUP + "default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n"),
        directory("home/default-user", owner=(1000, 1000)),
    ]
    image = _docker(_shell(layer(with_parents(members)), process=replace(SHELL, user="1000")))
    yield _named(as_list(image), f"{STAGING}/test-image-predefined-group:latest")


def _privileges() -> Iterator[Named]:
    entry = program("nnp", programs.compiled("nonewprivs"), 0o4755)
    yield _named(as_list(_docker(_shell(layer([entry]), process=Process(entrypoint=("/nnp",))))), f"{E2E}/nonewprivs:1.3")


def _web_servers() -> Iterator[Named]:
    """Servers that look like the originals: titles, pid file, words in the log, ports."""
    server = programs.compiled("webserver")
    for name, references, folder, words in (
        ("nginx", (NGINX,), "usr/sbin", ("-g", "daemon off;")),
        ("nginx", _host_network_names(), "usr/sbin", ("-p", str(HOST_PORT), "-g", "daemon off;")),
        ("httpd", (HTTPD,), "usr/local/apache2/bin", ("-D", "FOREGROUND")),
    ):
        port = HOST_PORT if "-p" in words else 80
        process = Process(command=(f"/{folder}/{name}", *words), ports=(f"{port}/tcp",))
        files = with_parents([program(f"{folder}/{name}", server)])
        yield _named(as_list(_docker(_shell(layer(files), process=process))), *references)


def _host_network_names() -> tuple[str, ...]:
    return tuple(f"{STAGING}/hostnet-nginx-{architecture}:latest" for architecture in both_architectures())


# What the demo needs comes first, and is had without the rest.
FAMILIES = (_pauses, _demos, _single_manifests, _layered, _busyboxes, _staging, _privileges, _web_servers)


@functools.cache
def _family(number: int) -> tuple[Named, ...]:
    return tuple(FAMILIES[number]())


def catalog() -> tuple[Named, ...]:
    """Every image of the kit, built when its digests are first asked for."""
    return tuple(named for number in range(len(FAMILIES)) for named in _family(number))


def find(reference: str) -> Named:
    """The image of a reference; raises KeyError for one that the kit does not make."""
    wanted = parse(reference)
    for number in range(len(FAMILIES)):
        for named in _family(number):
            if wanted in named.references:
                return named
    raise KeyError(reference)
