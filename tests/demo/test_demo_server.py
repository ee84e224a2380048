"""The demo's server over HTTP: its interfaces, its limits, and what it does with hostile requests."""

import base64
import csv
import io
import json
import re
import shutil
import socket
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from demo import guard, server
from demo.answers import OTHER_LABELS
from demo.pages import page as template
from tests import drawn_run, image_files
from tests.demo.test_demo import DIGEST, HOSTILE, photograph
from tests.demo_server import Served, served
from tfds_cxr import phantom
from tfds_cxr.labels import LABELS

MANY = server.SESSIONS + 20


@pytest.fixture(scope="module")
def client(demo: Served) -> Iterator[Client]:
    connected = Client(demo.address, verbose=False)
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "Secret-Patient.png"
    Image.fromarray(phantom.draw("COVID", seed=3, index=500)[0]).save(path)
    return path


def alive(demo: Served) -> bool:
    return httpx.get(f"{demo.address}/healthz").json() == {"status": "ok", "model": "drawn"}


def join_queue(demo: Served, client: Client, path: str, **more: object) -> str:
    """Asks /predict for a file by path, as a forged client would; returns all that the server says."""
    (number,) = (each["id"] for each in client.config["dependencies"] if each["api_name"] == "predict")
    forged = {"path": path, "meta": {"_type": "gradio.FileData"}, **more}
    body = {"data": [forged], "fn_index": number, "session_hash": "forger", "event_data": None, "trigger_id": None}
    joined = httpx.post(f"{demo.address}/gradio_api/queue/join", json=body)
    assert joined.status_code == 200, joined.text
    with httpx.stream("GET", f"{demo.address}/gradio_api/queue/data?session_hash=forger", timeout=30) as answer:
        said = []
        for line in answer.iter_lines():
            said.append(line)
            if "process_completed" in line or "unexpected_error" in line or "close_stream" in line:
                break
    return "\n".join(said)


def test_the_api_gives_what_predict_gives(
    client: Client, film: Path, demo_run: Path, tmp_path: Path, run_python
) -> None:
    answered = client.predict(handle_file(film), api_name="/predict")
    done = run_python("-m", "cxr_keras3.predict", "--model", demo_run, film, "--output", tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    expected = json.loads((tmp_path / "out.jsonl").read_text())
    assert answered.pop("sha256")
    assert answered == expected | {"file": film.name}


def test_only_the_documented_endpoints_are_offered(client: Client) -> None:
    offered = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(offered) == {"/predict", "/worklist", "/feedback", "/answers"}
    assert all(each["description"] for each in offered.values())


def test_a_worklist_over_the_api_keeps_order_and_names_the_corrupt(client: Client, tmp_path: Path) -> None:
    files = drawn_run.write_films(tmp_path, 6)
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        for file in files:
            archive.write(file, file.name)
        archive.writestr("torn.png", files[0].read_bytes()[:200])
    records = client.predict([handle_file(tmp_path / "films.zip")], api_name="/worklist")
    assert [record["file"] for record in records] == [
        f"films.zip/{name}" for name in [*(f.name for f in files), "torn.png"]
    ]
    assert "damaged" in records[-1]["reject_reason"]


def test_feedback_over_the_api(client: Client) -> None:
    kept = client.predict(DIGEST, "Normal", "COVID", "clear lungs", "AB", api_name="/feedback")
    assert kept["agrees"] is False
    assert client.predict(api_name="/answers")[-1] == kept | {"comment": ""}  # which no visitor reads
    with pytest.raises(AppError, match="Label must be one of COVID"):
        client.predict(DIGEST, "Healthy", "COVID", "", "", api_name="/feedback")


def test_the_example_for_programs_runs(demo: Served, film: Path, tmp_path: Path) -> None:
    markup = template("programs.html").render()
    example = re.sub("<.*?>", "", re.search("<code>(from gradio_client.*?)</code></pre>", markup, re.DOTALL)[1])
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.write(film, "film.png")
    for name, there in (
        ("http://127.0.0.1:7860", demo.address),
        ("film.dcm", film),
        ("films.zip", tmp_path / "films.zip"),
    ):
        example = example.replace(name, str(there))
    found: dict = {}
    exec(example, found)  # noqa: S102 -- our own page's words
    assert found["record"]["accepted"]
    assert len(found["records"]) == 1
    assert found["kept"]["label"] == "Normal"
    assert found["answers"]
    found["client"].close()


def test_headers_and_health(demo: Served) -> None:
    assert alive(demo)
    page = httpx.get(demo.address)
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "server" not in page.headers
    assert "fonts.googleapis" not in page.text
    assert "Never decide" in page.text.replace("never decide", "Never decide")
    assert "Trained on synthetic images" in page.text
    assert httpx.get(f"{demo.address}/docs").status_code == 404


@pytest.mark.parametrize("path", ["/etc/passwd", "{film}", "../../../../etc/passwd"])
def test_files_of_the_server_are_no_uploads(demo: Served, client: Client, film: Path, path: str) -> None:
    said = join_queue(demo, client, path.format(film=film))
    assert '"success":false' in said.replace(" ", "")
    assert "probabilities" not in said
    assert "passwd" not in said


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/film.png", "https://example.org/film.png"])
def test_the_server_fetches_nothing(demo: Served, client: Client, url: str) -> None:
    started = time.monotonic()
    for said in (join_queue(demo, client, url), join_queue(demo, client, "film.png", url=url)):
        assert '"success":false' in said.replace(" ", "")
    assert "example.org" not in said
    assert time.monotonic() - started < 20


def test_hundreds_of_calls_without_session_end_nobodys_worklist(demo: Served, client: Client, film: Path) -> None:
    sent = {"files": ("film.png", film.read_bytes())}
    (path,) = httpx.post(f"{demo.address}/gradio_api/upload", files=sent).json()
    job = ask_page(demo, client, "add_films", {"files": [{"path": path, "name": "a<b>$.png"}]}, session="me")["job"]
    with httpx.Client(base_url=demo.address, timeout=60) as stranger, ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(stranger.post, "/gradio_api/call/answers", json={"data": []}) for _ in range(MANY)]
        assert {call.result().status_code for call in calls} == {200}
    read = ask_page(demo, client, "read", {"film": {"kind": "listed", "job": job, "index": 0}}, session="me")
    assert read["name"] == "a<b>$.png"
    (row,) = ask_page(demo, client, "rows", {"job": job}, session="me")["rows"]
    assert row["file"] == "a<b>$.png"


def test_the_queue_cannot_be_passed_by(demo: Served) -> None:
    answer = httpx.post(f"{demo.address}/gradio_api/run/answers", json={"data": []})
    assert answer.status_code == 404


def test_an_upload_of_200_megabytes_is_refused(demo: Served) -> None:
    def body() -> Iterator[bytes]:
        yield b'--line\r\nContent-Disposition: form-data; name="files"; filename="big.dcm"\r\n\r\n'
        for _ in range(200):
            yield bytes(2**20)
        yield b"\r\n--line--\r\n"

    kind = {"content-type": "multipart/form-data; boundary=line"}
    try:
        answer = httpx.post(f"{demo.address}/gradio_api/upload", content=body(), headers=kind, timeout=60)
        assert answer.status_code == 413
    except (httpx.WriteError, httpx.RemoteProtocolError):  # it hung up while we were still sending
        pass
    assert alive(demo)


def test_a_request_that_claims_to_be_huge_is_refused_at_once(demo: Served) -> None:
    host, port = demo.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    assert alive(demo)


def test_a_request_that_grows_too_large_is_cut_off() -> None:
    from starlette.testclient import TestClient

    async def reads_all(scope, receive, send) -> None:
        while (await receive()).get("more_body"):
            pass

    def parts() -> Iterator[bytes]:
        for _ in range(guard.MAX_REQUEST_BYTES // 2**24 + 1):
            yield bytes(2**24)

    answer = TestClient(guard.Guard(reads_all)).post("/", content=parts())
    assert answer.status_code == 413


def test_a_zip_bomb_and_a_huge_dicom_are_rows_with_a_reason(demo: Served, client: Client, tmp_path: Path) -> None:
    dataset = image_files.dicom_dataset(phantom.draw("Normal", seed=3, index=1)[0])
    dataset.Rows, dataset.Columns = 60000, 60000
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("bomb.png", "w", force_zip64=True) as file:
            for _ in range(512):
                file.write(bytes(2**20))
        archive.writestr("huge.dcm", image_files.dicom_bytes(dataset))
        archive.writestr("nested.zip", b"PK\3\4")
    records = client.predict([handle_file(tmp_path / "bomb.zip")], api_name="/worklist")
    assert [record["accepted"] for record in records] == [False] * 3
    assert "128 MiB" in records[0]["reject_reason"]
    assert "at most 50000000 pixels" in records[1]["reject_reason"]
    assert alive(demo)


def test_messages_and_logs_name_no_folder_and_no_patient(
    demo: Served, client: Client, film: Path, tmp_path: Path
) -> None:
    shutil.copy(film, tmp_path / "Secret-Patient.zip")  # no archive at all
    with pytest.raises(AppError) as failure:
        client.predict([handle_file(tmp_path / "Secret-Patient.zip")], api_name="/worklist")
    assert "cannot be opened as a zip archive" in str(failure.value)
    assert str(demo.uploads) not in str(failure.value)
    client.predict(handle_file(film), api_name="/predict")
    log = demo.log.read_text()
    assert "Secret" not in log
    join_queue(demo, client, str(film))  # fails inside Gradio, which prints the traceback
    assert "InvalidPathError (its message is left out" in demo.log.read_text()
    assert "Secret" not in demo.log.read_text()


def test_hostile_names_come_back_as_text(client: Client, tmp_path: Path, film: Path) -> None:
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr(HOSTILE, film.read_bytes())
        archive.writestr("meadow.png", photograph())
    accepted, refused = client.predict([handle_file(tmp_path / "films.zip")], api_name="/worklist")
    assert accepted["file"] == f"films.zip/{HOSTILE}"
    assert not refused["accepted"]
    assert refused["probabilities"] == {}


def test_with_a_user_only_health_answers_strangers_and_uploads_vanish_with_the_server(
    demo_run: Path, film: Path, tmp_path: Path
) -> None:
    environment = {"CXR_DEMO_PASSWORD": "a long one", "TMPDIR": str(tmp_path)}
    with served(demo_run, "--user", "reader", **environment) as guarded:
        assert alive(guarded)
        assert httpx.get(f"{guarded.address}/config").status_code == 401
        files = {"files": ("film.png", film.read_bytes())}
        assert httpx.post(f"{guarded.address}/gradio_api/upload", files=files).status_code == 401
        assert httpx.post(f"{guarded.address}/gradio_api/component_server", json={}).status_code == 401
        connected = Client(guarded.address, auth=("reader", "a long one"), verbose=False)
        assert connected.predict(handle_file(film), api_name="/predict")["accepted"]
        connected.close()
        with httpx.Client(base_url=guarded.address, follow_redirects=True) as reader:
            reader.post("/login", data={"username": "reader", "password": "a long one"})
            assert 'href="logout"' in json.dumps(reader.get("/config").json()).replace("\\", "")
            folder = guarded.uploads
            assert folder.stat().st_mode & 0o77 == 0
            assert (
                reader.post("/gradio_api/upload", files={"files": ("kept.png", film.read_bytes())}).status_code == 200
            )
            assert len(list(folder.rglob("kept.png"))) == 1
            reader.get("/logout")
            assert reader.get("/config").status_code == 401
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "reader"], "--user needs a password in the environment variable CXR_DEMO_PASSWORD"),
        (["--model", "a", "--model", "b", "--model", "c"], "one run is served or two are compared, received 3"),
        (["--model", "no-such-run"], "a run folder must hold manifest.json"),
    ],
)
def test_mistakes_end_in_one_line(run_python, arguments: list[str], message: str) -> None:
    done = run_python("-m", "demo", *arguments, CXR_DEMO_PASSWORD="")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_taken_port_is_named(run_python, demo_run: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_python("-m", "demo", "--model", demo_run, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "choose another --port" in done.stderr


def ask_page(demo: Served, client: Client, function: str, asked: object, *, session: str = "x") -> dict:
    """Calls a function of the page's scripts, as they do."""
    (number,) = (part["id"] for part in client.config["components"] if part["props"].get("server_fns"))
    body = {"data": asked, "component_id": number, "session_hash": session, "fn_name": function}
    answered = httpx.post(f"{demo.address}/gradio_api/component_server", json=body, timeout=60)
    assert answered.status_code == 200
    return answered.json()


def test_labels_of_the_answers_come_as_a_zip(demo: Served, client: Client) -> None:
    made = ask_page(demo, client, "labels_zip", {})
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(made["base64"]))) as archive:
        assert set(archive.namelist()) >= {"labels.csv", "answers.csv"}
        rows = list(csv.DictReader(io.StringIO(archive.read("answers.csv").decode())))
    assert all(row["label"] in (*LABELS, *OTHER_LABELS) and not row["comment"] for row in rows)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("read", {"film": {"kind": "upload", "path": "/etc/passwd", "name": "film.png"}}), "must be uploaded"),
        (("read", {"film": {"kind": "upload", "path": "{film}", "name": "film.png"}}), "must be uploaded"),
        (("read", {"film": {"kind": "example", "index": -1}}), "does not understand"),
        (("read", {"film": {"kind": "listed", "job": "guessed", "index": 0}}), "no longer kept"),
        (("rows", {"job": "guessed", "after": 0}), "no longer kept"),
        (("add_films", {"files": [{"path": "/etc/passwd", "name": "films.zip"}]}), "must be uploaded"),
        (("read", None), "does not understand"),
    ],
)
def test_forged_questions_of_the_page(
    demo: Served, client: Client, film: Path, asked: tuple[str, object], message: str
) -> None:
    function, question = asked
    said = ask_page(demo, client, function, json.loads(json.dumps(question).replace("{film}", str(film))))
    assert message in said["error"]
    assert "passwd" not in said["error"]


def test_gradio_is_imported_without_work_on_its_stubs_and_its_components_are_whole(run_python, tmp_path: Path) -> None:
    code = (
        "import ast, inspect, sys; from pathlib import Path; from demo import server; getfile = inspect.getfile\n"
        "ast.get_source_segment = None  # which only that work needs\n"
        "server.import_gradio(Path(sys.argv[1]))\n"
        "import gradio; assert callable(gradio.Button.click) and inspect.getfile is getfile"
    )
    done = run_python("-c", code, tmp_path)
    assert done.returncode == 0, done.stderr
