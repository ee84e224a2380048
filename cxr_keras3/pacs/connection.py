"""The connection to a DICOMweb server, and what its silence and its refusals mean."""

import ipaddress
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from dicomweb_client import DICOMwebClient

from cxr_keras3.base.errors import UserError
from cxr_keras3.images import MAX_FILE_BYTES

PASSWORD, TOKEN = "CXR_PACS_PASSWORD", "CXR_PACS_TOKEN"
TIMEOUT = (10.0, 120.0)  # seconds to connect, and between two pieces of an answer
_AWAY = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


LARGEST_ANSWER = MAX_FILE_BYTES + 2**20
"""Bytes of an answer that are read: an image file, and what is wrapped around it."""

LONGEST_ANSWER = 300.0
"""Seconds that an answer may take as a whole, however steadily it drips."""

_PIECE = 2**16


class ServerAwayError(Exception):
    """The server cannot be reached, or says that it cannot answer now. Waiting helps.

    Attributes:
        has_answered: Whether it says so itself, of one thing asked for; others may be had.
    """

    def __init__(self, message: str, *, has_answered: bool = False) -> None:
        super().__init__(message)
        self.has_answered = has_answered


class RefusedError(Exception):
    """The server answers, but not with what was asked for."""


class _Session(requests.Session):
    """Reads no more of an answer than it may have, and follows no redirect: patients' data go nowhere else."""

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:  # noqa: ANN401 -- as theirs
        response = super().send(request, **settings | {"allow_redirects": False, "stream": True})
        begun, pieces, size = time.monotonic(), [], 0
        with response:
            if response.status_code // 100 == 3:  # with an address or without
                raise ValueError("a redirect")
            while piece := response.raw.read1(_PIECE, decode_content=True):  # as it comes, and not when it is full
                pieces.append(piece)
                size += len(piece)
                if size > LARGEST_ANSWER or time.monotonic() - begun > LONGEST_ANSWER:
                    raise ValueError("an answer too large or too slow")
        response._content = b"".join(pieces)  # noqa: SLF001 -- where `content` keeps what it has read
        return response


class ArchiveClient(DICOMwebClient):
    """A client that can fetch a file as the server sends it, too.

    dicomweb-client's own parses it, and so inflates a deflated one without bound, before anyone can look. It offers no
    other way to an instance, so this uses its session and its splitting of multipart answers, which it keeps to itself;
    the pinned version has both, and the tests of this room fail where another has not.
    """

    def fetch_file(self, study_uid: str, series_uid: str, instance_uid: str) -> bytes:
        """The bytes of an image's file, in its own transfer syntax."""
        url = f"{self.base_url}/studies/{study_uid}/series/{series_uid}/instances/{instance_uid}"
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        response = self._session.get(url, headers={"Accept": accept}, timeout=TIMEOUT)
        response.raise_for_status()
        if response.headers["Content-Type"].startswith("application/dicom"):  # some servers do not wrap it
            return bytes(response.content)
        return bytes(next(iter(self._decode_multipart_message(response, stream=False))))


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@dataclass(frozen=True)
class Access:
    """How to get into the hospital's servers.

    The password of `user`, or else a bearer token, is read from the environment (`PASSWORD`, `TOKEN`). Proxies,
    `.netrc` and certificate settings of the environment are not used: what is sent where is on the command line.

    Attributes:
        user: For basic authentication; None for none.
        ca_bundle: PEM file of the authorities that may vouch for a server; the usual ones when None.
        client_cert: PEM file that vouches for this client; None for none.
        client_key: Its private key, where it is not in the same file.
    """

    user: str | None = None
    ca_bundle: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None

    def session(self, option: str, url: str) -> requests.Session:
        """Makes a session for a server; see the function of this name."""
        for path in (self.client_cert, self.client_key):
            if path and not path.is_file():
                raise UserError(f"a certificate or key must be an existing file, received {path}")
        opened = session(option, url, auth=lambda: _authentication(self.user), ca_bundle=self.ca_bundle)
        if self.client_cert:
            opened.cert = (str(self.client_cert), str(self.client_key)) if self.client_key else str(self.client_cert)
        return opened


def connect(url: str, access: Access) -> ArchiveClient:
    """Makes a client. Nothing is sent yet.

    Args:
        url: Of the DICOMweb service, such as https://pacs.example/dicom-web.
        access: See there.

    Raises:
        UserError: Where these do not go together, or a secret would travel unencrypted.
    """
    client = ArchiveClient(url.rstrip("/"), session=access.session("--dicomweb", url), timeout=TIMEOUT)
    client.set_http_retry_params(retry=False)  # the service has a back-off of its own
    return client


def session(
    option: str, url: str, *, auth: Callable[[], requests.auth.AuthBase | None], ca_bundle: Path | None
) -> requests.Session:
    """Makes a session for one server, to which patients' data and secrets may go.

    Args:
        option: Where the address comes from, for messages.
        url: The server's address.
        auth: Reads how to authenticate, once the address is known to be one.
        ca_bundle: PEM file of the authorities that may vouch for the server; the usual ones when None.

    Raises:
        UserError: Where these do not go together, or a secret would travel unencrypted.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{option} must be an http or https address, received {parts.scheme}://{parts.hostname}")
    if parts.username or parts.password:
        raise UserError(f"{option} must hold no password, received one; secrets come from the environment, see --help")
    if ca_bundle and not ca_bundle.is_file():
        raise UserError(f"a certificate or key must be an existing file, received {ca_bundle}")
    opened = _Session()
    opened.trust_env = False
    if ca_bundle:
        opened.verify = str(ca_bundle)
    opened.auth = auth()
    if opened.auth and parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise UserError(f"a password or token travels over https only, received http://{parts.hostname}; use https")
    return opened


def token_authentication(variable: str) -> requests.auth.AuthBase | None:
    """A bearer token from a variable of the environment; None where it is not set."""
    token = os.environ.get(variable)
    return _Bearer(token) if token else None


def _authentication(user: str | None) -> requests.auth.AuthBase | None:
    password, token = os.environ.get(PASSWORD), token_authentication(TOKEN)
    if user is not None:
        if password is None:
            raise UserError(f"--user needs the password in the environment variable {PASSWORD}, which is not set")
        if token is not None:
            raise UserError(f"there must be one way to authenticate, received --user and {TOKEN}; leave out one")
        return requests.auth.HTTPBasicAuth(user.encode(), password.encode())
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def asking(for_what: str) -> Iterator[None]:
    """Turns a request's failure into one of the two errors above, whose texts hold no address and no identifier.

    Args:
        for_what: What was asked for, in words.

    Raises:
        ServerAwayError: See there.
        RefusedError: See there.
    """
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else None
        said = f"asked for {for_what}, the server answers with HTTP status {status}"
        raise (ServerAwayError(said, has_answered=True) if status in _AWAY else RefusedError(said)) from error
    except (requests.exceptions.SSLError, ValueError, TypeError, KeyError, AttributeError, StopIteration) as error:
        kind_of_error = type(error).__name__
        raise RefusedError(f"asked for {for_what}, the server's answer cannot be used ({kind_of_error})") from error
    except requests.RequestException as error:
        raise ServerAwayError(f"asked for {for_what}, the server does not answer ({type(error).__name__})") from error
