"""The generated messages are what the generator writes, and cost little to import."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kstore.wire.messages import MODULES
from tests.conformance.judges import kafka

TOOL = Path(__file__).parents[3] / "tools" / "generate_messages.py"


@pytest.fixture
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_messages", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_up_to_date(generator: ModuleType) -> None:
    jars = list(kafka.jar_dir().glob("kafka-clients-*.jar"))
    if not jars:
        pytest.skip(f"no Kafka {kafka.VERSION} in the cache: `make conformance` fetches it")
    assert generator.KAFKA_VERSION == kafka.VERSION
    for name, text in generator.generate(jars[0]).items():
        assert (generator.MESSAGES / name).read_text(encoding="utf-8") == text, name


def test_no_file_is_left_over(generator: ModuleType) -> None:
    known = {f"{generator.snake_case(name)}.py" for name in (*generator.APIS, *generator.DATA)}
    assert {path.name for path in generator.MESSAGES.glob("*.py")} == known | {"__init__.py"}
    assert {module.name for module in MODULES.values()} == set(generator.APIS)


def test_the_index_imports_no_message() -> None:
    """A broker starts without the schemas of APIs that nobody calls."""
    script = (
        "import sys, kstore.wire.codec, kstore.wire.headers, kstore.wire.versions\n"
        "print([name for name in sys.modules if name.startswith('kstore.wire.messages.')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


DEFINITION = """\
// The license, which does not belong into a docstring.

{
  "apiKey": 7, "type": "request", "name": "PlanesRequest",
  // Version 1 adds ISRNodes and
  // the hangar.
  //
  // Version 2 is flexible.
  "validVersions": "0-2", "flexibleVersions": "2+",
  "fields": [
    { "name": "Planes", "type": "[]Plane", "versions": "0+", "about": "The planes.", "fields": [
      // Null only while it flies.
      { "name": "Hangar2Id", "type": "uuid", "versions": "1+", "ignorable": true,
        "about": "Where." }
    ]},
    { "name": "ISRNodes", "type": "int32", "versions": "1+", "default": "0x7fffffff" },
    { "name": "Note", "type": "string", "versions": "2+", "nullableVersions": "2+",
      "default": "null", "tag": 0, "taggedVersions": "2+", "about": "A \\"note\\"" }
  ]
}
"""

GENERATED = '''\
class Plane(Struct):
    hangar2_id: UUID = uuid("1+", ignorable=True)
    """Where. Null only while it flies."""


class PlanesRequest(Request, api_key=7, versions="0-2", flexible="2+"):
    """Versions 0-2, flexible: 2+.

    Version 1 adds ISRNodes and the hangar.
    Version 2 is flexible.
    """

    planes: list[Plane] = array(Plane, "0+")
    """The planes."""
    isr_nodes: int = int32("1+", default=0x7FFFFFFF)
    note: str | None = string("2+", nullable="2+", default=None, tag=0)
    """A "note"
    """
'''


def test_what_is_written_for_a_definition(generator: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "PlanesRequest.json"
    path.write_text(DEFINITION, encoding="utf-8")
    definition = generator.read_definition(path)
    text = generator.write_module(["PlanesRequest"], "Planes, API 7.", [definition])
    head, classes = text.split("\n\n\n", 1)
    assert classes == GENERATED
    assert "from uuid import UUID\n" in head
    namespace: dict[str, object] = {"__name__": "planes"}
    exec(compile(text, "planes", "exec"), namespace)
    assert namespace["__all__"] == ["Plane", "PlanesRequest"]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ('"type": "int32", "default": "0", "mystery": 1', "unknown attributes"),
        ('"type": "float64", "default": "1.5"', "a default of a kind not met before"),
        ('"type": "int32", "tag": 0, "taggedVersions": "1+"', "tagged in some versions only"),
    ],
)
def test_what_it_does_not_understand_it_refuses(
    generator: ModuleType, tmp_path: Path, attributes: str, reason: str
) -> None:
    """A schema that was half understood would be a codec that is half wrong."""
    path = tmp_path / "Planes.json"
    path.write_text(
        '{\n"type": "data", "name": "Planes", "validVersions": "0", "flexibleVersions": "0+",\n'
        f'"fields": [{{"name": "Id", "versions": "0+", {attributes}}}]}}\n',
        encoding="utf-8",
    )
    with pytest.raises(SystemExit, match=reason):
        generator.write_module(["Planes"], "Planes.", [generator.read_definition(path)])
