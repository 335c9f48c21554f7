"""Writes `src/kstore/wire/messages/` from Kafka's message definitions.

    python tools/generate_messages.py SOURCE [--check]

SOURCE is a kafka-clients jar, or the directory of the JSON files in Kafka's sources:
`clients/src/main/resources/common/message`. One Python file is written per API, with the
request, the response and their structs, and an index of all in `messages/__init__.py`. `--check`
writes nothing and fails if a file differs. To add an API, add its name to APIS and run this.

The JSON has comments, and they are worth keeping: what stands before the first field becomes the
docstring of the message, what stands before another field joins that field's description.
"""

from __future__ import annotations

import argparse
import json
import keyword
import re
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KAFKA_VERSION = "4.3.1"
WIDTH = 100

NEVER = 0x7FFF
"""As a first flexible version: there is none."""

APIS = (
    "Produce",
    "Fetch",
    "ListOffsets",
    "Metadata",
    "OffsetCommit",
    "OffsetFetch",
    "FindCoordinator",
    "JoinGroup",
    "Heartbeat",
    "LeaveGroup",
    "SyncGroup",
    "DescribeGroups",
    "ListGroups",
    "ApiVersions",
    "CreateTopics",
    "DeleteTopics",
    "InitProducerId",
    "OffsetForLeaderEpoch",
    "DescribeConfigs",
    "DeleteGroups",
    "DescribeCluster",
    "DeleteRecords",
    "AlterConfigs",
    "DescribeLogDirs",
    "CreatePartitions",
    "ElectLeaders",
    "IncrementalAlterConfigs",
    "AlterPartitionReassignments",
    "ListPartitionReassignments",
    "OffsetDelete",
    "DescribeQuorum",
    "UpdateFeatures",
    "DescribeProducers",
    "ListConfigResources",
    "DescribeTopicPartitions",
    "AlterReplicaLogDirs",
    "AddPartitionsToTxn",
    "AddOffsetsToTxn",
    "EndTxn",
    "DescribeTransactions",
    "ListTransactions",
    "WriteTxnMarkers",
    "TxnOffsetCommit",
)
DATA = ("ConsumerProtocolSubscription", "ConsumerProtocolAssignment")

MESSAGES = Path(__file__).parent.parent / "src" / "kstore" / "wire" / "messages"

# Kafka's type -> (function of kstore.wire.schema, Python's type)
SCALARS = {
    "int8": ("int8", "int"),
    "int16": ("int16", "int"),
    "uint16": ("uint16", "int"),
    "int32": ("int32", "int"),
    "uint32": ("uint32", "int"),
    "int64": ("int64", "int"),
    "float64": ("float64", "float"),
    "bool": ("boolean", "bool"),
    "uuid": ("uuid", "UUID"),
    "string": ("string", "str"),
    "bytes": ("binary", "bytes"),
    "records": ("records", "bytes"),
}
KNOWN_ATTRIBUTES = {
    "name", "type", "versions", "nullableVersions", "taggedVersions", "tag", "default",
    "ignorable", "about", "fields", "entityType", "mapKey", "zeroCopy",
}  # fmt: skip


def read_definition(path: Path | zipfile.Path) -> dict[str, Any]:
    """One JSON file; each comment block becomes a "comment" of the object or array it stands in."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = lines.index("{")
    parts: list[str] = []
    comments: list[str] = []
    for line in lines[start:]:
        text = line.strip()
        if text.startswith("//"):
            comments.append(text.removeprefix("//").strip())
            continue
        if comments and text:
            # A comment belongs to what follows it: an attribute, or the next element of an array.
            comment = json.dumps("\n".join(comments))
            if text.startswith("{"):
                line = line.replace("{", f'{{ "comment": {comment},', 1)
                comments = []
            elif text.startswith('"'):
                parts.append(f'"comment{len(parts)}": {comment},')
                comments = []
        parts.append(line)
    definition: dict[str, Any] = json.loads("\n".join(parts))
    return definition


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def wrap(text: str, indent: str, *, hanging: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def paragraphs(comment: str) -> Iterator[str]:
    """The comment's sentences about one thing each: a version, an item, or a block of text."""
    current: list[str] = []
    for line in [*comment.splitlines(), ""]:
        starts = re.match(r"(Versions? \d|version \d|Starting (in|from) |In version |- )", line)
        if current and (not line or starts):
            yield " ".join(" ".join(current).split())
            current = []
        if line:
            current.append(line)


def docstring(lines: list[str], indent: str) -> list[str]:
    """Puts quotes around `lines`, which are indented already."""
    if any("\\" in line or '"""' in line for line in lines):
        raise SystemExit(f"a description that Python would misread: {lines}")
    whole = [f'{indent}"""{lines[0].strip()}', *lines[1:]]
    # A quote at the end would run into the closing ones.
    joins = len(whole[-1]) + 3 <= WIDTH and not whole[-1].endswith('"')
    if "" in lines or not joins:
        return [*whole, f'{indent}"""']
    return [*whole[:-1], f'{whole[-1]}"""']


def wrapped_doc(text: str, indent: str) -> list[str]:
    # The opening quotes take three columns of the first line.
    lines = wrap("xxx" + text, indent)
    lines[0] = lines[0].replace("xxx", "", 1)
    return docstring(lines, indent)


class MessageWriter:
    """Turns one JSON definition into classes: nested structs first, the message last."""

    def __init__(self, definition: dict[str, Any]) -> None:
        self.definition = definition
        self.common = {common["name"]: common for common in definition.get("commonStructs", [])}
        self.names: list[str] = []
        self.imports: set[str] = set()
        self.classes: list[list[str]] = []

    def write(self) -> None:
        definition = self.definition
        for name in self.common:
            self.common_struct(name)
        fields = definition["fields"]
        comments = [text for key, text in definition.items() if key.startswith("comment")]
        if fields and "comment" in fields[0]:
            comments.append(fields[0].pop("comment"))
        base = {"request": "Request", "response": "Response", "data": "Message"}[definition["type"]]
        self.imports.add(base)
        key = f"api_key={definition['apiKey']}, " if "apiKey" in definition else ""
        head = (
            f"class {definition['name']}({base}, {key}"
            f'versions="{definition["validVersions"]}", '
            f'flexible="{definition["flexibleVersions"]}"):'
        )
        if len(head) > WIDTH:
            inside = head[head.index("(") + 1 : -2]
            head = f"class {definition['name']}(\n    {inside}\n):"
        lines = [head]
        texts = [text for comment in comments for text in paragraphs(comment)]
        if texts:
            versions, flexible = definition["validVersions"], definition["flexibleVersions"]
            doc = [f"    Versions {versions}, flexible: {flexible}.", ""]
            for text in texts:
                doc += wrap(text, "    ", hanging="  ")
            lines += docstring(doc, "    ")
        self.body(definition["name"], fields, lines)

    def common_struct(self, name: str) -> None:
        """Adds a struct that several use, after those that it uses itself."""
        if name in self.names:
            return
        fields = self.common[name]["fields"]
        for field in fields:
            used = field["type"].removeprefix("[]")
            if used in self.common:
                self.common_struct(used)
        self.struct(name, fields, "")

    def struct(self, name: str, fields: list[dict[str, Any]], about: str) -> None:
        self.imports.add("Struct")
        lines = [f"class {name}(Struct):"]
        if about:
            lines += wrapped_doc(about, "    ")
        self.body(name, fields, lines)

    def body(self, name: str, fields: list[dict[str, Any]], lines: list[str]) -> None:
        """Adds the fields, after the structs that they need, and closes the class."""
        written = [line for field in fields for line in self.field(field)]
        if len(lines) > 1 or "\n" in lines[0]:
            lines.append("")
        if not fields:
            lines += ['    """No fields."""'] if len(lines) == 1 else []
        if name in self.names:
            raise SystemExit(f"{self.definition['name']} defines {name} twice")
        self.names.append(name)
        while written and not written[-1]:
            written.pop()
        lines += written
        while not lines[-1]:
            lines.pop()
        self.classes.append(lines)

    def field(self, field: dict[str, Any]) -> list[str]:
        extra = set(field) - KNOWN_ATTRIBUTES - {key for key in field if key.startswith("comment")}
        if extra:
            raise SystemExit(f"{field['name']} has unknown attributes {extra}")
        name = snake_case(field["name"])
        if keyword.iskeyword(name):
            raise SystemExit(f"{name} is a keyword")
        python_type, call = self.declaration(field)
        line = f"    {name}: {python_type} = {call}"
        if len(line) > WIDTH:
            opening = line.index("(") + 1
            line = f"{line[:opening]}\n        {line[opening:-1]}\n    )"
        comments = [
            " ".join(text.split()) for key, text in field.items() if key.startswith("comment")
        ]
        about = " ".join([field.get("about", "").strip(), *comments]).strip()
        return [line, *(wrapped_doc(about, "    ") if about else [])]

    def declaration(self, field: dict[str, Any]) -> tuple[str, str]:
        """The annotation and the call that declare a field."""
        kafka_type, nullable = field["type"], field.get("nullableVersions")
        element = kafka_type.removeprefix("[]")
        if element in SCALARS:
            function, python_type = SCALARS[element]
            self.imports.add(function)
        else:
            function, python_type = element, element
            if element not in self.common and element not in self.names:
                self.struct(element, field["fields"], "")
        arguments = [f'"{field["versions"]}"']
        if kafka_type.startswith("[]"):
            arguments.insert(0, function)
            function, python_type = "array", f"list[{python_type}]"
        elif element not in SCALARS:
            arguments.insert(0, function)
            function = "struct"
        self.imports.add(function) if function != element else None
        default = self.default(field)
        if nullable:
            arguments.append(f'nullable="{nullable}"')
        if nullable or default == "None" or kafka_type == "records":
            python_type += " | None"
        if default is not None:
            arguments.append(f"default={default}")
        if "tag" in field:
            if field["taggedVersions"] != field["versions"]:
                raise SystemExit(f"{field['name']} is tagged in some versions only")
            arguments.append(f"tag={field['tag']}")
        if field.get("ignorable"):
            arguments.append("ignorable=True")
        return python_type, f"{function}({', '.join(arguments)})"

    def default(self, field: dict[str, Any]) -> str | None:
        """The default as Python writes it, or None where it is the type's own."""
        kafka_type, default = field["type"], field.get("default")
        if default is None:
            return None
        if default == "null":
            return "None"
        if kafka_type == "bool":
            return {"true": "True", "false": None}[str(default).lower()]
        if kafka_type.startswith(("int", "uint")):
            number = int(str(default), 0)
            return None if number == 0 else str(default).upper().replace("0X", "0x")
        if kafka_type == "string" and default == "":
            return None
        raise SystemExit(f"{field['name']} has a default of a kind not met before: {default!r}")


def struct_names(definition: dict[str, Any]) -> set[str]:
    """The names of the structs that a definition nests, at any depth."""
    names = set()
    for field in [*definition.get("fields", []), *definition.get("commonStructs", [])]:
        if field.get("fields"):
            names.add(field.get("type", field["name"]).removeprefix("[]"))
            names |= struct_names(field)
    return names


def set_apart(definition: dict[str, Any], names: set[str], prefix: str) -> None:
    """Puts `prefix` before those `names` that both the request and the response use.

    Kafka nests them in two classes; here they stand side by side in one module.
    """
    for field in [*definition.get("fields", []), *definition.get("commonStructs", [])]:
        for key in ("type", "name"):
            brackets = "[]" if str(field.get(key)).startswith("[]") else ""
            plain = str(field.get(key)).removeprefix("[]")
            if plain in names and (key == "type" or "type" not in field):
                field[key] = f"{brackets}{prefix}{plain}"
        set_apart(field, names, prefix)


def write_module(sources: list[str], title: str, definitions: list[dict[str, Any]]) -> str:
    imports: set[str] = set()
    names: list[str] = []
    classes: list[list[str]] = []
    if len(definitions) == 2:
        common = struct_names(definitions[0]) & struct_names(definitions[1])
        for definition in definitions:
            set_apart(definition, common, str(definition["type"]).capitalize())
    for definition in definitions:
        writer = MessageWriter(definition)
        writer.write()
        names += writer.names
        imports |= writer.imports
        classes += writer.classes
    files = " and ".join(f"{source}.json" for source in sources)
    head = [
        f'"""{title}',
        "",
        *wrap(
            f"Generated by tools/generate_messages.py from Apache Kafka {KAFKA_VERSION}'s {files} "
            "(Apache License 2.0); do not edit.",
            "",
        ),
        '"""',
        "",
        "from __future__ import annotations",
        "",
    ]
    if "uuid" in imports:
        head += ["from uuid import UUID", ""]
    head += import_lines("kstore.wire.schema", imports)
    head += ["", "__all__ = [", *(f'    "{name}",' for name in sorted(names)), "]", ""]
    return "\n".join([*head, *("\n".join(["", *lines, ""]) for lines in classes)])


def import_lines(module: str, names: set[str]) -> list[str]:
    # As ruff sorts them: classes first, then functions.
    ordered = sorted(names, key=lambda name: (name[0].islower(), natural_key(name)))
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= WIDTH:
        return [line]
    return [f"from {module} import (", *(f"    {name}," for name in ordered), ")"]


def natural_key(name: str) -> list[tuple[int, str]]:
    """int8 before int16."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def write_index(apis: list[tuple[str, dict[str, Any]]]) -> str:
    lines = [
        '"""The messages of the Kafka protocol, one module per API, and their index.',
        "",
        *wrap(
            "Generated by tools/generate_messages.py from the message definitions of Apache Kafka "
            f"{KAFKA_VERSION} (Apache License 2.0); do not edit.",
            "",
        ),
        "",
        *wrap(
            "The index says what the first bytes of a request need to know, without importing the "
            "schemas themselves: each is imported when its API is first used.",
            "",
        ),
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import NamedTuple",
        "",
        '__all__ = ["MODULES", "ApiModule"]',
        "",
        "",
        "class ApiModule(NamedTuple):",
        '    """Where an API\'s messages are found."""',
        "",
        "    name: str",
        '    """Kafka\'s name; the classes are this with Request and Response behind it."""',
        "    module: str",
        '    """The module below this package."""',
        "    flexible_from: int",
        '    """The first version with compact lengths and tagged fields; 32767: none."""',
        "",
        "",
        "MODULES: dict[int, ApiModule] = {",
    ]
    for name, request in sorted(apis, key=lambda api: api[1]["apiKey"]):
        first = request["flexibleVersions"].removesuffix("+").replace("none", str(NEVER))
        lines.append(
            f'    {request["apiKey"]}: ApiModule("{name}", "{snake_case(name)}", {first}),'
        )
    return "\n".join([*lines, "}", ""])


def generate(source: Path) -> dict[str, str]:
    """The text of every file, by its name, from a jar or a directory."""
    directory = source if source.is_dir() else zipfile.Path(source, "common/message/")
    files: dict[str, str] = {}
    apis: list[tuple[str, dict[str, Any]]] = []
    for name in APIS:
        sources = [f"{name}Request", f"{name}Response"]
        definitions = [read_definition(directory / f"{source}.json") for source in sources]
        apis.append((name, definitions[0]))
        title = f"{name}, API {definitions[0]['apiKey']}."
        files[f"{snake_case(name)}.py"] = write_module(sources, title, definitions)
    for name in DATA:
        definition = read_definition(directory / f"{name}.json")
        title = f"{name}, which consumers of a group hand to each other."
        files[f"{snake_case(name)}.py"] = write_module([name], title, [definition])
    files["__init__.py"] = write_index(apis)
    return files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    stale = []
    for name, text in generate(options.source).items():
        path = MESSAGES / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not options.check:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"{'stale' if options.check else 'written'}: {', '.join(sorted(stale))}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
