"""JSON by the standard; safetensors within limits."""

import json
from enum import StrEnum

import numpy as np
import pytest

from stitchrl.artifacts import (
    ArtifactError,
    arrays_to_bytes,
    bytes_to_arrays,
    bytes_to_json,
    bytes_to_notes,
    json_to_bytes,
    save_json,
)


class Verdict(StrEnum):
    PILOT = "pilot"


def test_json_of_plain_data_arrays_and_nan(tmp_path):
    value = {
        "γ": [1, 0.1, True, None],
        "array": np.array([[1.5, np.nan]]),
        "count": np.int64(3),
        "verdict": Verdict.PILOT,
        "half": "\udc80",
        "pair": (1, np.float32(0.1)),
    }
    save_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_bytes()
    assert "γ".encode() in text and text.endswith(b"}\n")
    expected = {
        "γ": [1, 0.1, True, None],
        "array": [[1.5, None]],
        "count": 3,
        "verdict": "pilot",
        "half": "\udc80",
        "pair": [1, 0.10000000149011612],
    }
    assert bytes_to_json(text, source="a.json") == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [0.0, {"b": np.inf}]}, r"value\['a'\]\[1\]\['b'\] is inf, which JSON"),
        ({"a": {1: 2}}, r"value\['a'\] has the key 1, but the keys of JSON are strings"),
        ({"a": {1, 2}}, r"value\['a'\] is of type set, but JSON holds"),
        (b"bytes", "value is of type bytes"),
        (1j, "value is of type complex"),
    ],
)
def test_json_refuses_and_names_the_place(value, message):
    with pytest.raises(ArtifactError, match=message):
        json_to_bytes(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": NaN}', "NaN is not a number in JSON"),
        (b"[-Infinity]", "-Infinity is not a number in JSON"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "a key stands twice"),
        (b'{"a": 1', "Expecting ',' delimiter"),
        (b"[" * 100_000, "recursion"),
        (b"\xff\xfe1", "codec can't decode"),
        (b"", "Expecting value"),
    ],
)
def test_reading_json_is_strict(text, message):
    with pytest.raises(ArtifactError, match=f"'x.json' is not JSON: .*{message}"):
        bytes_to_json(text, source="x.json")


ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scalar": np.float64(0.1),
    "step": np.int32(7),
    "flags": np.array([True, False]),
    "none": np.zeros((0, 4), np.uint8),
    "special": np.array([np.nan, np.inf, -0.0, 5e-324]),
    **{
        f"{kind}{bits}": np.ones(3, f"{kind}{bits}")
        for kind in ("int", "uint")
        for bits in (8, 16, 32, 64)
    },
}


def test_arrays_come_back_bit_for_bit():
    again = bytes_to_arrays(arrays_to_bytes(ARRAYS))
    assert again.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert again[name].dtype == value.dtype and again[name].shape == value.shape
        assert again[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize(
    "view",
    [
        np.arange(6).reshape(2, 3).T,
        np.arange(10)[::3],
        np.arange(4)[::-1],
        np.broadcast_to(np.arange(3), (2, 3)),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(3, dtype=">i4"),
    ],
)
def test_the_strides_and_byte_order_of_an_array_do_not_matter(view):
    again = bytes_to_arrays(arrays_to_bytes({"a": view}))["a"]
    np.testing.assert_array_equal(again, view)


def test_equal_arrays_make_equal_bytes_with_notes_beside_them():
    notes = {f"['key={i}']\n": f"kind {i}" for i in range(20)}
    data = arrays_to_bytes(ARRAYS, notes=notes)
    again = arrays_to_bytes(ARRAYS, notes=dict(reversed(notes.items())))
    assert data == again
    assert bytes_to_notes(data) == notes
    assert bytes_to_notes(arrays_to_bytes(ARRAYS)) == {}
    assert bytes_to_arrays(arrays_to_bytes({})) == {}


@pytest.mark.parametrize("kind", [np.float16, np.complex64, np.str_, object, "M8[s]"])
def test_types_without_a_place_are_refused(kind):
    with pytest.raises(ArtifactError, match="Tensor 'a' has type .*Convert it first"):
        arrays_to_bytes({"a": np.zeros(2, kind)})


def tensors_with(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "its 0 bytes are fewer than its header says"),
        (b"\xff" * 8, "its 8 bytes are fewer"),
        (
            tensors_with(b" " * 1_000_001),
            "header of 1,000,001 bytes is longer than 1,000,000",
        ),
        (tensors_with(b"{"), "header of w' is not JSON"),
        (tensors_with([1]), "not a table of tensors"),
        (tensors_with({"a": 1}), "not a table of tensors"),
        (tensors_with({str(i): {} for i in range(10_001)}), "its 10,001 tensors are over"),
        (tensors_with({"a": F32 | {"dtype": "BF16"}}), "tensor 'a' has the type BF16"),
        (tensors_with({"a": F32}, bytes(3)), "cannot be read as safetensors"),
        (tensors_with({"a": F32}, bytes(5)), "cannot be read as safetensors"),
        (tensors_with({"a": F32, "b": F32}, bytes(4)), "cannot be read as safetensors"),
        (tensors_with({"a": F32 | {"shape": [2**62, 8]}}, bytes(4)), "cannot be read"),
        (tensors_with({"a": F32 | {"shape": [-1]}}, bytes(4)), "cannot be read"),
        (tensors_with({"a": {"dtype": "F32"}}, bytes(4)), "cannot be read"),
        (tensors_with(b'{"a": {}, "a": {}}'), "a key stands twice"),
        (b"\x80\x04\x95" + bytes(40), "fewer than its header says"),
    ],
)
def test_malformed_tensors_are_refused(data, message):
    with pytest.raises(ArtifactError, match=message):
        bytes_to_arrays(data, source="w")


def test_what_readers_would_refuse_is_not_written():
    many = {str(i): np.zeros(()) for i in range(10_001)}
    with pytest.raises(ArtifactError, match="10,001 tensors are more than the 10,000"):
        arrays_to_bytes(many)
    with pytest.raises(ArtifactError, match="is longer than 1,000,000"):
        arrays_to_bytes({"a" * 1_000_000: np.zeros(())})
