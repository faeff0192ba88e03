"""What opentelemetry-proto reads of the file that is the argument, as JSON."""

import json
import sys

from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest
from opentelemetry.proto.profiles.v1development.profiles_pb2 import ProfilesData


def item(table, index):
    if not 0 <= index < len(table):
        raise IndexError(f"{index} of {len(table)}")
    return table[index]


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


with open(sys.argv[1], "rb") as file:
    content = file.read()
data = ProfilesData.FromString(content)
# A request of the collector's service has the same fields.
request = ExportProfilesServiceRequest.FromString(content)
assert list(request.resource_profiles) == list(data.resource_profiles) and request.dictionary == data.dictionary

tables = data.dictionary
for table in (tables.mapping_table, tables.location_table, tables.function_table, tables.link_table,
              tables.string_table, tables.attribute_table, tables.stack_table):
    assert table[0] == type(table[0])(), table[0]


def text(index):
    return item(tables.string_table, index)


def attributes(indices):
    found = [item(tables.attribute_table, index) for index in indices]
    return {text(attribute.key_strindex): value(attribute.value) for attribute in found}


def frame(index):
    location = item(tables.location_table, index)
    item(tables.mapping_table, location.mapping_index)
    (line,) = location.lines
    function = item(tables.function_table, line.function_index)
    return [text(function.name_strindex), text(function.filename_strindex), function.start_line, line.line,
            attributes(location.attribute_indices)]


def kind(value_type):
    return f"{text(value_type.type_strindex)}/{text(value_type.unit_strindex)}"


print(json.dumps([
    {
        "resource": {attribute.key: value(attribute.value) for attribute in resource.resource.attributes},
        "scope": [scope.scope.name, scope.scope.version],
        "type": kind(profile.sample_type),
        "period": [profile.period, kind(profile.period_type)],
        "duration": profile.duration_nano,
        "samples": [
            {
                "values": list(sample.values),
                "labels": attributes(sample.attribute_indices),
                "frames": [frame(index) for index in
                           reversed(item(tables.stack_table, sample.stack_index).location_indices)],
            }
            for sample in profile.samples
        ],
    }
    for resource in data.resource_profiles for scope in resource.scope_profiles for profile in scope.profiles
]))
