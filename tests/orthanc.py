"""A real Orthanc with its DICOMweb plugin, on free loopback ports and in a folder of its own."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import requests

PACKAGES = ("orthanc", "orthanc-dicomweb", "dcmtk", "dicom3tools")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_SECONDS = 60.0


@cache
def unavailable() -> str:
    """Why there is no Orthanc to be had, after trying to install it; empty where there is one."""
    if _is_installed():
        return ""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return f"Orthanc is not installed: apt-get install {' '.join(PACKAGES)}"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in ("apt-get update", f"apt-get install --yes --no-install-recommends {' '.join(PACKAGES)}"):
        try:
            subprocess.run(command.split(), env=environment, capture_output=True, timeout=300, check=True)
        except subprocess.SubprocessError as error:
            return f"Orthanc is not installed, and {command} failed ({type(error).__name__})"
    if shutil.which("service"):  # the package starts a server of its own, which nobody asked for
        subprocess.run(["service", "orthanc", "stop"], capture_output=True, timeout=60, check=False)
    return "" if _is_installed() else "apt-get installed Orthanc, and it is not there"


def _is_installed() -> bool:
    return all(shutil.which(program) for program in ("Orthanc", "dsrdump", "dciodvfy")) and PLUGIN.exists()


class Orthanc:
    """A server that can be stopped and started again on the same ports and the same folder."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.http_port, self._dicom_port = free_port(), free_port()
        folder.mkdir(parents=True, exist_ok=True)
        configuration = {
            "StorageDirectory": os.fspath(folder / "storage"),
            "IndexDirectory": os.fspath(folder / "storage"),
            "Plugins": [os.fspath(PLUGIN)],
            "HttpPort": self.http_port,
            "DicomPort": self._dicom_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        self.configuration = folder / "orthanc.json"
        self.configuration.write_text(json.dumps(configuration | settings))

    @property
    def rest(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        return f"{self.rest}/dicom-web"

    def start(self) -> None:
        with (self._folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen(["Orthanc", self.configuration], stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError((self._folder / "orthanc.log").read_text())
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.http_port), timeout=1):
                return
            time.sleep(0.05)
        raise RuntimeError("Orthanc does not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None

    def store(self, files: Sequence[bytes]) -> None:
        """Stores DICOM files as a modality does, by C-STORE."""
        with tempfile.TemporaryDirectory() as folder:
            for number, file in enumerate(files):
                (Path(folder) / f"{number:05d}.dcm").write_bytes(file)
            command = ["storescu", "-xv", "+sd", "127.0.0.1", str(self._dicom_port), folder]
            subprocess.run(command, check=True, capture_output=True, timeout=300)

    def get(self, path: str) -> Any:
        """What the REST interface answers, from JSON."""
        answer = requests.get(f"{self.rest}{path}", timeout=30)
        answer.raise_for_status()
        return answer.json()

    def files(self, modality: str, *, series_number: int | None = None) -> dict[str, list[bytes]]:
        """All files of a modality, or of its series of that number, by Study Instance UID."""
        found: dict[str, list[bytes]] = {}
        for study_uid, series in self._series():
            tags = series["MainDicomTags"]
            if tags["Modality"] == modality and series_number in (None, int(tags.get("SeriesNumber", -1))):
                for instance in series["Instances"]:
                    answer = requests.get(f"{self.rest}/instances/{instance}/file", timeout=30)
                    found.setdefault(study_uid, []).append(answer.content)
        return found

    def counts(self) -> dict[str, Counter[str]]:
        """How many images and documents of each modality there are, by Study Instance UID."""
        found: dict[str, Counter[str]] = {}
        for study_uid, series in self._series():
            found.setdefault(study_uid, Counter())[series["MainDicomTags"]["Modality"]] += len(series["Instances"])
        return found

    def digests(self) -> dict[str, str]:
        """The MD5 sum of every stored file, by Orthanc's own identifier."""
        names = self.get("/instances")
        return {name: self._text(f"/instances/{name}/attachments/dicom/md5") for name in names}

    def _series(self) -> Iterator[tuple[str, Any]]:
        studies = {study["ID"]: study["MainDicomTags"]["StudyInstanceUID"] for study in self.get("/studies?expand")}
        for series in self.get("/series?expand"):
            yield studies[series["ParentStudy"]], series

    def _text(self, path: str) -> str:
        return requests.get(f"{self.rest}{path}", timeout=30).text


@contextlib.contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Orthanc]:
    """A server that is stopped at the end."""
    server = Orthanc(folder, **settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
