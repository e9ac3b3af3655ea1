"""The Python of the gRPC interface, made from its ``.proto`` files."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ccgateway.errors import SettingsError

__all__ = ["generated"]

PROTOS = "schema/ccgateway/v1"
GENERATED = "src/ccgateway/v1"


def generated(project: Path) -> Mapping[str, str]:
    """Path within the ``project`` → text of every generated file; none where there are no ``.proto`` files.

    Raises ``SettingsError`` where the generator (grpcio-tools, which only development needs) is missing or refuses a file.
    """
    sources = sorted((project / PROTOS).glob("*.proto"))
    if not sources:
        return {}
    if importlib.util.find_spec("grpc_tools") is None:
        problem = "grpcio-tools, which makes Python of them, is not installed"
        raise SettingsError(PROTOS, problem, "Install what development needs (requirements-dev.txt).")
    from grpc_tools import protoc

    well_known = Path(protoc.__file__).parent / "_proto"
    with TemporaryDirectory() as folder:
        arguments = ["protoc", f"-I{project / 'schema'}", f"-I{well_known}"]
        arguments += [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        if protoc.main([*arguments, *map(str, sources)]) != 0:
            raise SettingsError(PROTOS, "protoc refuses a file there, as it says above", "Correct it.")
        made = sorted(Path(folder).rglob("*_pb2*"))
        return {
            f"{GENERATED}/{path.name}": path.read_text(encoding="utf-8")
            for path in made
            if not path.name.endswith("_grpc.py") or "_service_" in path.name  # the others have no services, and are empty
        }
