"""Everything we write: whole or not at all, and verified when it is read again.

No other module writes a file, and no other module reads one of ours.
"""

from stitchrl.artifacts.columns import open_columns, save_columns
from stitchrl.artifacts.directories import (
    load_directory,
    remove_directory,
    save_directory,
    standing,
)
from stitchrl.artifacts.encoding import bytes_to_json, json_to_bytes, save_json
from stitchrl.artifacts.files import ArtifactError, append, save_file, sync, truncate
from stitchrl.artifacts.manifest import FORMAT, MANIFEST
from stitchrl.artifacts.sealing import read_sealed, save_sealed, seal, sealed_size, verify
from stitchrl.artifacts.tensors import arrays_to_bytes, bytes_to_arrays, bytes_to_notes

__all__ = [
    "FORMAT",
    "MANIFEST",
    "ArtifactError",
    "append",
    "arrays_to_bytes",
    "bytes_to_arrays",
    "bytes_to_json",
    "bytes_to_notes",
    "json_to_bytes",
    "load_directory",
    "open_columns",
    "read_sealed",
    "remove_directory",
    "save_columns",
    "save_directory",
    "save_file",
    "save_json",
    "save_sealed",
    "seal",
    "sealed_size",
    "standing",
    "sync",
    "truncate",
    "verify",
]
