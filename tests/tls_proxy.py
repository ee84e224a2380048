"""TLS before a server that speaks none, as a reverse proxy gives it: Debian's Orthanc 1.10 crashes on its own."""

import contextlib
import shutil
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def listening(port: int, *, certificate: Path, key: Path, clients: Path) -> Iterator[int]:
    """Passes TLS connections on to a loopback port; yields its own.

    Args:
        port: Where they go, in the clear.
        certificate: PEM file that vouches for it.
        key: Its key.
        clients: PEM file of the authorities that must vouch for a client.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(clients))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                client = context.wrap_socket(self.request, server_side=True)
                with client, socket.create_connection(("127.0.0.1", port)) as server:
                    back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                    back.start()
                    _copy(client, server)
                    back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as proxy:
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy.server_address[1]
        proxy.shutdown()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        shutil.copyfileobj(source.makefile("rb", buffering=0), target.makefile("wb", buffering=0))
        target.shutdown(socket.SHUT_WR)
