"""Who the demo's server lets in, and how long it waits."""

import asyncio
import os
import socket
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from starlette.testclient import TestClient

from demo import guard, patience, quota, server
from demo.doorkeeper import LOGINS, Doorkeeper
from tests.orthanc import free_port


async def answers(scope, receive, send) -> None:
    """Lets any page read what it says, as Gradio does."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"access-control-allow-origin", b"*"), (b"access-control-allow-credentials", b"true")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"answer"})


@pytest.fixture
def client() -> TestClient:
    return TestClient(Doorkeeper(answers, hosts=["chest.hospital.example"]))


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "[::1]:7860", "chest.hospital.example", "10.1.2.3"])
def test_its_own_names_are_answered(client: TestClient, host: str) -> None:
    found = client.get("/", headers={"Host": host, "Origin": f"https://{host}"})
    assert found.text == "answer"
    assert not [name for name in found.headers if name.startswith("access-control")]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "chest.hospital.example.evil.example"])
def test_other_names_are_not(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "https://["])
def test_other_pages_are_not_answered(client: TestClient, origin: str) -> None:
    for ask in (client.get, client.post, client.options):
        assert ask("/gradio_api/call", headers={"Host": "localhost", "Origin": origin}).status_code == 403


def test_passwords_are_tried_at_the_pace_of_a_person(client: TestClient) -> None:
    codes = [client.post("/login", headers={"Host": "localhost"}).status_code for _ in range(LOGINS + 5)]
    assert codes == [200] * LOGINS + [429] * 5
    assert client.get("/", headers={"Host": "localhost"}).status_code == 200


def test_uploads_have_a_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(quota.UPLOAD_FOLDER_VARIABLE, os.fspath(tmp_path))
    monkeypatch.setattr(quota, "MAX_UPLOADS_BYTES", 1000)
    guarded = TestClient(guard.Guard(answers))

    def upload() -> int:
        return guarded.post("/gradio_api/upload", content=b"x" * 400).status_code

    assert [upload() for _ in range(4)] == [200] * 4  # they are deleted, so there is room again
    kept = tmp_path / "film"
    kept.write_bytes(b"x" * 900)
    monkeypatch.setattr(quota, "RECOUNT_SECONDS", 0.0)
    assert upload() == 507
    assert guarded.post("/gradio_api/call", content=b"x" * 400).status_code == 200
    kept.unlink()
    assert upload() == 200


def test_the_upload_folder_is_not_counted_again_for_each_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(quota, "_uploaded", lambda: counted.append(1) or 10**12)
    guarded = TestClient(guard.Guard(answers))
    for _ in range(5):
        assert guarded.post("/gradio_api/upload", content=b"x").status_code == 200
    assert not counted
    monkeypatch.setattr(quota, "MAX_UPLOADS_BYTES", 1)
    assert [guarded.post("/gradio_api/upload", content=b"x").status_code for _ in range(5)] == [507] * 5
    assert len(counted) == 1


def test_what_a_killed_server_left_is_swept_and_a_running_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", os.fspath(tmp_path))
    left = tmp_path / "cxr_keras3-demo-left"
    left.mkdir()
    (left / "film.png").write_bytes(b"film")
    with server.upload_folder() as first:
        assert not left.exists()
        (first / "film.png").write_bytes(b"film")
        with server.upload_folder() as second:
            assert (first / "film.png").exists()
            assert second != first
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch):
    """A server that waits half a second, and its port."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS"):
        monkeypatch.setattr(patience, name, 0.5)
    monkeypatch.setattr(patience, "CONNECTIONS", 20)
    port = free_port()
    settings = uvicorn.Config(answers, port=port, http=patience.PatientProtocol, log_config=None, lifespan="off")
    running = uvicorn.Server(settings)
    thread = threading.Thread(target=asyncio.run, args=(running.serve(),))
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield port
    running.should_exit = True
    thread.join()


def said(connection: socket.socket) -> bytes:
    """What the server says until it closes."""
    connection.settimeout(5)
    found = b""
    try:
        while piece := connection.recv(4096):
            found += piece
    except ConnectionResetError:
        pass
    return found


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"


@pytest.mark.parametrize("beginning", [b"", b"POST / HTTP", HEAD, HEAD + b"\r\nhalf"])
def test_requests_that_never_end_are_ended(impatient: int, beginning: bytes) -> None:
    with socket.create_connection(("127.0.0.1", impatient)) as connection:
        connection.sendall(beginning)
        begun = time.monotonic()
        assert b"answer" not in said(connection)
        assert time.monotonic() - begun < 3


def test_slow_but_steady_bodies_are_waited_for(impatient: int) -> None:
    with socket.create_connection(("127.0.0.1", impatient)) as connection:
        connection.sendall(HEAD + b"Connection: close\r\n\r\n")
        for _ in range(5):
            time.sleep(0.3)
            connection.sendall(b"xx")
        assert b"answer" in said(connection)


def test_an_open_connection_may_ask_again(impatient: int) -> None:
    with socket.create_connection(("127.0.0.1", impatient)) as connection:
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.2)
            assert b"answer" in connection.recv(4096)


def test_half_open_requests_do_not_stop_others(impatient: int) -> None:
    held = [socket.create_connection(("127.0.0.1", impatient)) for _ in range(60)]
    for connection in held:
        connection.sendall(b"POST / HTTP/1.1\r\n")
    time.sleep(1.2)
    with socket.create_connection(("127.0.0.1", impatient)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"answer" in said(connection)
    for connection in held:
        connection.close()
