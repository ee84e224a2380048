"""The Open Inference Protocol, version 2, over HTTP: tensors of film files in, tensors of answers out.

https://github.com/kserve/open-inference-protocol, with Triton's binary tensor data extension, so that a film's bytes
travel as they are. A request comes from a stranger: its sizes are checked before anything is made of them.
"""

import base64
import binascii
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr_keras3.images import MAX_FILE_BYTES
from cxr_keras3.run.folder import Run
from cxr_keras3.serving.prediction import Prediction

INPUT = "film"
"""The one input: BYTES [N], the bytes of N files, DICOM or picture. In JSON they are in base64."""

MAX_FILMS = 64
"""Most films of one request."""

HEADER_LENGTH = "Inference-Header-Content-Length"
_REFUSED = -1.0  # NaN is none of JSON's numbers, and 0 would be an answer


class RequestError(Exception):
    """A request that is none, in one line for who sent it."""


@dataclass(frozen=True, eq=False)
class Output:
    """A tensor of the answer.

    Attributes:
        datatype: As the protocol names it.
        shape: Its sizes; -1 stands for the number of films.
        meaning: In words.
    """

    datatype: str
    shape: tuple[int, ...]
    meaning: str


def outputs(class_names: Sequence[str]) -> dict[str, Output]:
    """What is answered, by name."""
    return {
        "accepted": Output("BOOL", (-1,), "whether the film could be read and is a frontal chest film"),
        "abnormal_score": Output("FP32", (-1,), "how abnormal the film looks; -1 where not accepted"),
        "probabilities": Output(
            "FP32", (-1, len(class_names)), f"calibrated, of {', '.join(class_names)}; -1 where not accepted"
        ),
        "prediction": Output("BYTES", (-1,), "the whole answer as `python -m cxr_keras3.predict` gives it, JSON"),
    }


def films(body: bytes, *, header_length: str | None) -> tuple[dict[str, Any], list[bytes]]:
    """Reads a request.

    Args:
        body: Its body.
        header_length: Of its JSON part, where binary data follow (header `HEADER_LENGTH`); None where all is JSON.

    Returns:
        The JSON part, and the bytes of each film.

    Raises:
        RequestError: Where it is no request for this model.
    """
    if header_length is not None and not (header_length.isdecimal() and int(header_length) <= len(body)):
        raise RequestError(f"{HEADER_LENGTH} must be at most the length of the body, received {header_length[:20]!r}")
    size = len(body) if header_length is None else int(header_length)
    try:
        request = json.loads(body[:size])
        (tensor,) = request["inputs"]
        name, datatype, shape = tensor["name"], tensor["datatype"], tensor["shape"]
        parameters = tensor.get("parameters", {})
        binary_size = parameters.get("binary_data_size")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError(f"a request must have one input with name, shape and datatype ({error})") from error
    if name != INPUT or datatype != "BYTES":
        raise RequestError(f"the input must be {INPUT!r} of datatype BYTES")
    if not isinstance(shape, list) or shape not in [[count] for count in range(1, MAX_FILMS + 1)]:
        raise RequestError(f"the input must have the shape [N] with N from 1 to {MAX_FILMS}")
    if binary_size is not None:
        found = list(_elements(body[size : size + binary_size] if isinstance(binary_size, int) else b""))
    else:
        found = [_decoded(element) for element in _listed(tensor.get("data"))]
    if len(found) != shape[0]:
        raise RequestError(f"the input must hold {shape[0]} films as its shape says, received {len(found)}")
    if max(map(len, found)) > MAX_FILE_BYTES:
        raise RequestError(f"a film may have {MAX_FILE_BYTES // 2**20} MiB")
    return request, found


def _listed(data: object) -> list[object]:
    if not isinstance(data, list):
        raise RequestError("the input must have its data in a list, or behind the JSON with binary_data_size")
    return data


def _decoded(element: object) -> bytes:
    try:
        return base64.b64decode(str(element), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError("the bytes of a film must be in base64 where they are in JSON") from error


def _elements(binary: bytes) -> Iterator[bytes]:
    """The elements of a BYTES tensor: each with its length before it, four bytes, little endian."""
    place = 0
    while place < len(binary):
        if place + 4 > len(binary):
            raise RequestError("the binary data end within a length")
        (length,) = struct.unpack_from("<I", binary, place)
        place += 4 + length
        if place > len(binary):
            raise RequestError("the binary data end within a film")
        yield binary[place - length : place]


def answer(
    request: Mapping[str, Any], predictions: Sequence[Prediction], *, run: Run, version: str
) -> tuple[bytes, dict[str, str]]:
    """Writes the answer.

    Args:
        request: The JSON part of the request, which says what it wants and how.
        predictions: One for each film.
        run: What answered.
        version: Of the model, as the protocol has it.

    Returns:
        The body and the headers that go with it.

    Raises:
        RequestError: Where it asks for an output that is none.
    """
    tensors = _tensors(predictions, len(run.class_names))
    default = bool(_parameters(request).get("binary_data_output", False))
    asked = request.get("outputs") or [{"name": name} for name in tensors]
    described, binaries = [], []
    for each in asked:
        name = each.get("name") if isinstance(each, dict) else None
        if name not in tensors:
            raise RequestError(f"an output must be one of {', '.join(tensors)}")
        datatype, array = tensors[name]
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if _parameters(each).get("binary_data", default):
            binaries.append(_binary(array, datatype))
            tensor["parameters"] = {"binary_data_size": len(binaries[-1])}
        else:
            tensor["data"] = array.ravel().tolist()
        described.append(tensor)
    written: dict[str, Any] = {"model_name": run.name, "model_version": version, "outputs": described}
    if isinstance(request.get("id"), str):
        written["id"] = request["id"]
    head = json.dumps(written).encode()
    if not binaries:
        return head, {"Content-Type": "application/json"}
    return head + b"".join(binaries), {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}


def _parameters(part: Mapping[str, Any]) -> Mapping[str, Any]:
    found = part.get("parameters")
    return found if isinstance(found, dict) else {}


def _tensors(predictions: Sequence[Prediction], classes: int) -> dict[str, tuple[str, npt.NDArray[Any]]]:
    accepted = [each.accepted for each in predictions]
    scores = [_REFUSED if each.abnormal_score is None else each.abnormal_score for each in predictions]
    probabilities = [list(each.probabilities.values()) or [_REFUSED] * classes for each in predictions]
    records = np.array([json.dumps(each.record()) for each in predictions], dtype=object)
    return {
        "accepted": ("BOOL", np.array(accepted, dtype=np.bool_)),
        "abnormal_score": ("FP32", np.array(scores, dtype=np.float32)),
        "probabilities": ("FP32", np.array(probabilities, dtype=np.float32)),
        "prediction": ("BYTES", records),
    }


def _binary(array: npt.NDArray[Any], datatype: str) -> bytes:
    if datatype != "BYTES":
        return array.astype(array.dtype.newbyteorder("<")).tobytes()
    encoded = [str(element).encode() for element in array.ravel()]
    return b"".join(struct.pack("<I", len(element)) + element for element in encoded)
