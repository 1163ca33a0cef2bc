"""Our api.proto is the published contract: the same names, numbers, types and labels, nothing more and nothing less.

Both files are compiled to descriptor sets by the same compiler; what is compared is what goes over the wire and what generated code
calls by name. Comments, the order of declarations and options of code generators are not part of it.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import Mapping

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from crio.cri import api_pb2 as pb

OURS = pathlib.Path(pb.__file__).with_name("api.proto")
COMPILE_TIMEOUT_S = 60
Facts = Mapping[str, object]


def compiled(proto: pathlib.Path, folder: pathlib.Path) -> FileDescriptorProto:
    """The descriptors of one file that imports nothing."""
    folder.mkdir()
    target = folder / "set"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto.parent}", f"--descriptor_set_out={target}", str(proto)]
    subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_TIMEOUT_S)
    (found,) = FileDescriptorSet.FromString(target.read_bytes()).file
    return found


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorProto:
    """The contract as this tree has it."""
    return compiled(OURS, tmp_path_factory.mktemp("ours") / "out")


@pytest.fixture(scope="module")
def published(cri_api_proto: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorProto:
    """The contract as Kubernetes publishes it."""
    return compiled(cri_api_proto, tmp_path_factory.mktemp("published") / "out")


def service_facts(file: FileDescriptorProto) -> Facts:
    """Every method with what it takes and gives, and which side streams."""
    return {
        f"{service.name}.{method.name}": (method.input_type, method.output_type, method.client_streaming, method.server_streaming)
        for service in file.service
        for method in service.method
    }


def _field_facts(field: FieldDescriptorProto, message: DescriptorProto) -> tuple[object, ...]:
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
    packed = field.options.packed if field.options.HasField("packed") else None
    return field.name, field.type, field.label, field.type_name, oneof, field.proto3_optional, packed


def _message_facts(prefix: str, message: DescriptorProto) -> dict[str, object]:
    name = f"{prefix}.{message.name}"
    facts: dict[str, object] = {name: ("map entry" if message.options.map_entry else "message")}
    facts |= {f"{name} field {field.number}": _field_facts(field, message) for field in message.field}
    for nested in message.nested_type:
        facts |= _message_facts(name, nested)
    for enum in message.enum_type:
        facts |= _enum_facts(name, enum)
    return facts


def _enum_facts(prefix: str, enum: EnumDescriptorProto) -> dict[str, object]:
    name = f"{prefix}.{enum.name}"
    return {name: "enum"} | {f"{name} value {value.name}": value.number for value in enum.value}


def message_facts(file: FileDescriptorProto) -> Facts:
    """Every message, map entry and field, by number."""
    facts: dict[str, object] = {}
    for message in file.message_type:
        facts |= _message_facts("", message)
    return facts


def enum_facts(file: FileDescriptorProto) -> Facts:
    """Every enum and its values."""
    facts: dict[str, object] = {}
    for enum in file.enum_type:
        facts |= _enum_facts("", enum)
    return facts


def differences(ours: Facts, published: Facts) -> list[str]:
    """Sentences for what is missing, too much, or different."""
    lines = [f"missing: {name} {published[name]!r}" for name in sorted(published.keys() - ours.keys())]
    lines += [f"not published: {name} {ours[name]!r}" for name in sorted(ours.keys() - published.keys())]
    both = sorted(ours.keys() & published.keys())
    return lines + [f"{name}: ours {ours[name]!r}, published {published[name]!r}" for name in both if ours[name] != published[name]]


def test_the_file_is_of_the_same_package_and_syntax(ours: FileDescriptorProto, published: FileDescriptorProto) -> None:
    assert (ours.package, ours.syntax) == (published.package, published.syntax) == ("runtime.v1", "proto3")


def test_services_have_the_published_methods(ours: FileDescriptorProto, published: FileDescriptorProto) -> None:
    assert not differences(service_facts(ours), service_facts(published))


def test_messages_have_the_published_fields(ours: FileDescriptorProto, published: FileDescriptorProto) -> None:
    assert len(message_facts(published)) > 500
    assert not differences(message_facts(ours), message_facts(published))


def test_enums_have_the_published_values(ours: FileDescriptorProto, published: FileDescriptorProto) -> None:
    assert not differences(enum_facts(ours), enum_facts(published))


def test_all_43_methods_are_there(ours: FileDescriptorProto) -> None:
    assert len(service_facts(ours)) == 43


def test_the_generated_code_is_of_this_file(ours: FileDescriptorProto) -> None:
    generated = FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    for facts in (service_facts, message_facts, enum_facts):
        assert facts(generated) == facts(ours)


def test_a_difference_is_noticed(ours: FileDescriptorProto) -> None:
    changed = FileDescriptorProto.FromString(ours.SerializeToString())
    changed.message_type[0].field[0].number += 1000
    changed.enum_type[0].value[0].number += 1000
    changed.service[0].method[0].server_streaming ^= True
    for facts in (service_facts, message_facts, enum_facts):
        assert differences(facts(changed), facts(ours))
