"""A model server of one run, in the Open Inference Protocol, on Starlette."""

import hmac
from collections.abc import Collection
from http import HTTPStatus

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cxr_keras3.base.version import __version__
from cxr_keras3.serving import open_inference
from cxr_keras3.serving.open_inference import RequestError
from cxr_keras3.serving.predictor import Predictor

MAX_REQUEST_BYTES = 256 * 2**20
AT_ONCE = 2
"""Requests worked on at a time; the others wait. A runtime uses all cores for one."""
VERSION = "1"
EXTENSIONS = ["binary_tensor_data"]


def application(predictor: Predictor, *, token: str | None, hosts: Collection[str]) -> Starlette:
    """Makes the server.

    Args:
        predictor: Answers.
        token: What a request for an answer must bring as a bearer token; None for none. Health needs none.
        hosts: Names by which the server may be asked for, so that no web page can reach it by a name of its own.
    """
    service = _Service(predictor, token)
    model = f"/v2/models/{predictor.run.name}"
    routes = [
        Route("/v2", service.server),
        Route("/v2/health/live", _well),
        Route("/v2/health/ready", _well),
        *(Route(f"{path}/ready", _well) for path in (model, f"{model}/versions/{VERSION}")),
        *(Route(path, service.model) for path in (model, f"{model}/versions/{VERSION}")),
        *(Route(f"{path}/infer", service.infer, methods=["POST"]) for path in (model, f"{model}/versions/{VERSION}")),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
        exception_handlers={RequestError: _refuse, HTTPStatus.NOT_FOUND: _unknown},
    )


async def _well(_: Request) -> Response:
    return Response(status_code=HTTPStatus.OK)


async def _refuse(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, HTTPStatus.BAD_REQUEST)


async def _unknown(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "there is no such model or address"}, HTTPStatus.NOT_FOUND)


class _Service:
    """The addresses that say something of the model."""

    def __init__(self, predictor: Predictor, token: str | None) -> None:
        self._predictor = predictor
        self._token = token
        self._name = predictor.run.name
        self._limiter = anyio.CapacityLimiter(AT_ONCE)

    async def server(self, _: Request) -> Response:
        """What server this is."""
        return JSONResponse({"name": "cxr_keras3", "version": __version__, "extensions": EXTENSIONS})

    async def model(self, _: Request) -> Response:
        """What goes in and comes out."""
        described = open_inference.outputs(self._predictor.run.class_names).items()
        return JSONResponse(
            {
                "name": self._name,
                "versions": [VERSION],
                "platform": "cxr_keras3",
                "inputs": [{"name": open_inference.INPUT, "datatype": "BYTES", "shape": [-1]}],
                "outputs": [
                    {"name": name, "datatype": each.datatype, "shape": list(each.shape)} for name, each in described
                ],
            }
        )

    async def infer(self, request: Request) -> Response:
        """Answers for films."""
        if self._token and not _is_bearer(request.headers.get("authorization", ""), self._token):
            return JSONResponse({"error": "a bearer token is needed"}, HTTPStatus.UNAUTHORIZED)
        body = await _body(request)
        if body is None:
            said = f"a request may have {MAX_REQUEST_BYTES // 2**20} MiB, this one has more: send fewer films"
            return JSONResponse({"error": said}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        asked, films = open_inference.films(body, header_length=request.headers.get(open_inference.HEADER_LENGTH))
        predictions = await anyio.to_thread.run_sync(
            lambda: list(self._predictor.predict(films)), limiter=self._limiter
        )
        content, headers = open_inference.answer(asked, predictions, run=self._predictor.run, version=VERSION)
        return Response(content, headers=headers)


def _is_bearer(header: str, token: str) -> bool:
    return hmac.compare_digest(header.encode(), f"Bearer {token}".encode())


async def _body(request: Request) -> bytes | None:
    """The whole body; None where it is too large, whatever length it claims."""
    received = bytearray()
    async for piece in request.stream():
        received += piece
        if len(received) > MAX_REQUEST_BYTES:
            return None
    return bytes(received)
