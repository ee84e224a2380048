"""A small stand-in for the Hugging Face hub, on loopback: what its client asks to commit and to fetch files."""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_standin"  # noqa: S105 -- the stand-in's only login
LARGE = (".keras", ".npz", ".bin", ".safetensors")

Tree = dict[str, bytes]


@dataclass
class Repository:
    private: bool = False
    commits: list[tuple[str, Tree]] = field(default_factory=list)

    def commit(self, tree: Tree) -> str:
        """Keeps a tree of files as the newest; returns its commit."""
        name = hashlib.sha1(repr((len(self.commits), sorted(tree.items()))).encode(), usedforsecurity=False).hexdigest()
        self.commits.append((name, tree))
        return name

    def at(self, revision: str) -> tuple[str, Tree] | None:
        if revision == "main":
            return self.commits[-1] if self.commits else ("0" * 40, {})
        return next((each for each in self.commits if each[0] == revision), None)


@dataclass
class Hub:
    """What the stand-in holds.

    Attributes:
        url: For HF_ENDPOINT.
        repositories: By owner/name.
        requests: Method and path of each request, in their order.
    """

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    large_files: Tree = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        server.shutdown()


def _etag(content: bytes, name: str) -> str:
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def _answer(self, content: object, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _parts(self) -> list[str]:
        self.hub.requests.append(f"{self.command} {self.path}")
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _found(self, name: str, revision: str) -> tuple[str, Tree] | None:
        """The commit asked for; answers itself where there is none that the caller may see."""
        repository = self.hub.repositories.get(name)
        allowed = repository and (not repository.private or self.headers["Authorization"] == f"Bearer {TOKEN}")
        found = repository.at(revision) if repository and allowed else None
        if found is None:
            self._answer({}, 404, X_Error_Code="RevisionNotFound" if allowed else "RepoNotFound")
        return found

    def do_GET(self) -> None:
        match self._parts():
            case ["api", "models", owner, name, *rest]:
                found = self._found(f"{owner}/{name}", rest[1] if rest else "main")
                if found is None:
                    return
                commit, tree = found
                files = [
                    {"type": "file", "path": path, "rfilename": path, "size": len(content), "oid": _etag(content, path)}
                    for path, content in tree.items()
                ]
                whole = {"id": f"{owner}/{name}", "sha": commit, "siblings": files, "tags": [], "private": True}
                self._answer(files if rest[:1] == ["tree"] else whole)
            case [owner, name, "resolve", revision, *path]:
                found = self._found(f"{owner}/{name}", revision)
                if found is None:
                    return
                content = found[1].get("/".join(path))
                if content is None:
                    self._answer({}, 404, X_Error_Code="EntryNotFound")
                    return
                self._answer(content, X_Repo_Commit=found[0], ETag=f'"{_etag(content, path[-1])}"')

    do_HEAD = do_GET  # noqa: N815 -- the server's name

    def do_POST(self) -> None:
        parts, body = self._parts(), self._body()
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer({"error": "Invalid token"}, 401)
            return
        match parts:
            case ["api", "repos", "create"]:
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}"
                status = 409 if name in self.hub.repositories else 200
                self.hub.repositories.setdefault(name, Repository(private=asked["visibility"] == "private"))
                self._answer({"url": f"{self.hub.url}/{name}"}, status)
            case ["api", "validate-yaml"]:
                self._answer({"errors": [], "warnings": []})
            case ["api", "models", _, _, "preupload", _]:
                names = [each["path"] for each in json.loads(body)["files"]]
                modes = {name: "lfs" if name.endswith(LARGE) else "regular" for name in names}
                self._answer(
                    {"files": [{"path": name, "uploadMode": modes[name], "shouldIgnore": False} for name in names]}
                )
            case [*_, "info", "lfs", "objects", "batch"]:
                wanted = json.loads(body)["objects"]
                upload = [
                    each | {"actions": {"upload": {"href": f"{self.hub.url}/lfs/{each['oid']}"}}} for each in wanted
                ]
                self._answer({"transfer": "basic", "objects": upload})
            case ["api", "models", owner, name, "commit", _]:
                self._commit(f"{owner}/{name}", body)

    def do_PUT(self) -> None:
        _, oid = self._parts()
        content = self._body()
        assert hashlib.sha256(content).hexdigest() == oid
        self.hub.large_files[oid] = content
        self._answer({})

    def _commit(self, name: str, body: bytes) -> None:
        repository = self.hub.repositories[name]
        tree = dict(repository.at("main")[1])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            match line["key"]:
                case "file":
                    tree[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    tree[value["path"]] = self.hub.large_files[value["oid"]]
                case "deletedFile":
                    del tree[value["path"]]
        oid = repository.commit(tree)
        self._answer({"commitUrl": f"{self.hub.url}/{name}/commit/{oid}", "commitOid": oid})
