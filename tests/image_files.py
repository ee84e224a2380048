"""Small image files of every kind that `cxr_keras3.images` reads, made on the fly, and ways to spoil them."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

SOP_INSTANCE_UID = "1.2.826.0.1.3680043.8.498.1"


def picture(height: int = 72, width: int = 96, *, levels: int = 256) -> np.ndarray:
    """A smooth, asymmetric grey picture with a bright corner, so that any turn of it is seen."""
    y, x = np.mgrid[:height, :width]
    shade = 0.35 + 0.3 * np.sin(x / 9) * np.cos(y / 7) + 0.3 * x / width
    shade[: height // 4, : width // 3] = 1
    return np.clip(shade * (levels - 1), 0, levels - 1).astype(np.uint8 if levels <= 256 else np.uint16)


def encoded(pixels: np.ndarray | Image.Image, file_format: str, **options: Any) -> bytes:
    """The bytes of `pixels` as Pillow writes them."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def dicom_dataset(stored: np.ndarray, *, bits: int | None = None, **attributes: Any) -> Dataset:
    """A DX chest film of the given stored values; attributes of value None are left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = SOP_INSTANCE_UID
    dataset.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = SOP_INSTANCE_UID
    dataset.PatientName = "Secret^Patient"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = stored.dtype.itemsize * 8
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.add_new("PixelData", "OW", stored.astype(stored.dtype.newbyteorder("<")).tobytes())
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def dicom_bytes(dataset: Dataset) -> bytes:
    """The DICOM file of `dataset`, whose values may be nonsense."""
    buffer = io.BytesIO()
    with pydicom.config.disable_value_validation():
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def dicom(stored: np.ndarray, *, bits: int | None = None, **attributes: Any) -> bytes:
    """The DICOM file of `dicom_dataset`."""
    with pydicom.config.disable_value_validation():
        return dicom_bytes(dicom_dataset(stored, bits=bits, **attributes))


def compressed(dataset: Dataset, syntax: uid.UID, frame: bytes | None = None) -> bytes:
    """The DICOM file of `dataset` with its pixel data compressed, or replaced by the compressed `frame`."""
    if frame is None:
        plugin = "pydicom" if syntax == uid.RLELossless else "pylibjpeg"
        dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].is_undefined_length = True
    return dicom_bytes(dataset)


def lossless_jpeg(values: np.ndarray, *, precision: int) -> bytes:
    """A lossless JPEG stream (ITU-T T.81 process 14, selection value 1) with five-bit Huffman codes."""
    height, width = values.shape
    samples = values.astype(np.int64)
    prediction = np.empty_like(samples)
    prediction[:, 1:] = samples[:, :-1]
    prediction[1:, 0] = samples[:-1, 0]
    prediction[0, 0] = 2 ** (precision - 1)
    bits = []
    for difference in ((samples - prediction + 32767) % 65536 - 32767).ravel().tolist():
        size = abs(difference).bit_length()
        bits.append(f"{size:05b}")
        if 0 < size < 16:
            bits.append(f"{difference if difference > 0 else difference + 2**size - 1:0{size}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
    frame = struct.pack(">2BHBHHB3B", 0xFF, 0xC3, 11, precision, height, width, 1, 1, 0x11, 0)
    table = struct.pack(">2BHB16B", 0xFF, 0xC4, 36, 0, *(17 if length == 5 else 0 for length in range(1, 17)))
    start = struct.pack(">2BHB2B3B", 0xFF, 0xDA, 8, 1, 1, 0, 1, 0, 0)
    return b"\xff\xd8" + frame + table + bytes(range(17)) + start + scan + b"\xff\xd9"


def pydicom_sample(name: str, **attributes: Any) -> Dataset:
    """One of pydicom's own files, its header changed to that of a frontal chest film."""
    dataset = pydicom.dcmread(get_testdata_file(name, download=False))
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@cache
def valid_files() -> dict[str, bytes]:
    """One readable file of every format, bit depth and compression."""
    grey, wide = picture(), picture(levels=4096)
    colour = Image.fromarray(np.stack([grey, 255 - grey, grey // 2], axis=-1))
    exif = Image.Exif()
    exif[0x0112] = 6
    window = {"bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    return {
        "png grey": encoded(grey, "PNG", exif=exif),
        "png 16 bit": encoded(wide, "PNG"),
        "png palette": encoded(colour.quantize(16), "PNG", transparency=0),
        "png rgba": encoded(colour.convert("RGBA"), "PNG"),
        "jpeg": encoded(grey, "JPEG", exif=exif),
        "jpeg colour": encoded(colour, "JPEG", progressive=True),
        "tiff": encoded(grey, "TIFF"),
        "tiff lzw 16 bit": encoded(wide, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": encoded(colour, "TIFF", compression="jpeg"),
        "tiff float": encoded(grey.astype(np.float32), "TIFF", compression="tiff_adobe_deflate"),
        "webp": encoded(colour, "WEBP", exif=exif),
        "webp lossless": encoded(colour.convert("RGBA"), "WEBP", lossless=True),
        "dicom": dicom(wide, **window),
        "dicom 8 bit": dicom(grey, PhotometricInterpretation="MONOCHROME1"),
        "dicom lut": dicom_bytes(with_voi_lut(dicom_dataset(wide, bits=12), np.arange(4096) // 16, depth=8)),
        "dicom rle": compressed(dicom_dataset(wide, **window), uid.RLELossless),
        "dicom jpeg": compressed(dicom_dataset(grey), uid.JPEGBaseline8Bit, encoded(grey, "JPEG")),
        "dicom jpeg 12 bit": dicom_bytes(pydicom_sample("JPGExtended.dcm")),
        "dicom jpeg lossless": compressed(
            dicom_dataset(wide, **window), uid.JPEGLosslessSV1, lossless_jpeg(wide, precision=12)
        ),
        "dicom jpeg-ls": dicom_bytes(pydicom_sample("MR_small_jpeg_ls_lossless.dcm")),
        "dicom jpeg 2000": compressed(dicom_dataset(wide, **window), uid.JPEG2000Lossless),
    }


def with_voi_lut(dataset: Dataset, entries: np.ndarray, *, depth: int, first: int = 0) -> Dataset:
    """Adds a value of interest lookup table to `dataset`."""
    dataset.VOILUTSequence = [lookup_table(entries, depth=depth, first=first)]
    return dataset


def lookup_table(entries: np.ndarray, *, depth: int, first: int = 0) -> Dataset:
    """A sequence item with a lookup table whose first entry belongs to the value `first`."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 2**16, first, depth])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


_EDGE_VALUES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(generator: random.Random, data: bytes) -> bytes:
    """Spoils a file in one to sixteen places, half of them near its start, where the headers are."""
    spoilt = bytearray(data)
    for _ in range(generator.choice((1, 1, 1, 2, 4, 16))):
        end = len(spoilt) if generator.random() < 0.5 else min(len(spoilt), 1024)
        generator.choice(_MUTATIONS)(generator, spoilt, generator.randrange(max(end, 1)))
    result = bytes(spoilt)
    return _with_png_checksums(result) if generator.random() < 0.7 else result


def _flip(generator: random.Random, data: bytearray, at: int) -> None:
    data[at : at + 1] = bytes(byte ^ 1 << generator.randrange(8) for byte in data[at : at + 1])


def _set_number(generator: random.Random, data: bytearray, at: int) -> None:
    size, order = generator.choice((1, 2, 4)), generator.choice(("little", "big"))
    data[at : at + size] = (generator.choice(_EDGE_VALUES) % 256**size).to_bytes(size, order)


def _delete(generator: random.Random, data: bytearray, at: int) -> None:
    del data[at : at + generator.choice((1, 2, 4, 64))]


def _insert(generator: random.Random, data: bytearray, at: int) -> None:
    data[at:at] = generator.randbytes(generator.choice((1, 2, 4, 64)))


def _repeat(generator: random.Random, data: bytearray, at: int) -> None:
    source = generator.randrange(max(len(data), 1))
    data[at:at] = data[source : source + generator.choice((4, 16, 256))]


def _truncate(generator: random.Random, data: bytearray, at: int) -> None:
    del data[at:]


_MUTATIONS: tuple[Callable[[random.Random, bytearray, int], None], ...] = (
    *(_flip, _set_number) * 3,
    _delete,
    _insert,
    _repeat,
    _truncate,
)


def _with_png_checksums(data: bytes) -> bytes:
    """Mends the checksums of a PNG file's chunks, so that what was spoilt in them reaches the decoder."""
    mended, position = bytearray(data), 8
    while data.startswith(b"\x89PNG") and position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if end + 4 > len(data):
            break
        mended[end : end + 4] = zlib.crc32(data[position + 4 : end]).to_bytes(4, "big")
        position = end + 4
    return bytes(mended)
