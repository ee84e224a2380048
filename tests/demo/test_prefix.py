"""Behind a proxy on a sub-path."""

import pytest
from starlette.testclient import TestClient

from demo.prefix import Prefix


async def answers(scope, receive, send) -> None:
    body = f"{scope.get('root_path', '')}|{scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("asked", ["/cxr/config", "/config"])  # as proxies pass it on, whole or stripped
@pytest.mark.parametrize(("root", "header"), [("/cxr", {}), ("", {"X-Forwarded-Prefix": "/cxr/"})])
def test_a_prefix_is_known_stripped_or_not(asked: str, root: str, header: dict[str, str]) -> None:
    assert TestClient(Prefix(answers, root)).get(asked, headers=header).text == "/cxr|/cxr/config"


def test_without_a_prefix_nothing_changes_and_nonsense_is_none() -> None:
    for header in ({}, {"X-Forwarded-Prefix": "//evil.example"}, {"X-Forwarded-Prefix": "javascript:"}):
        assert TestClient(Prefix(answers, "")).get("/config", headers=header).text == "|/config"


def test_the_bare_prefix_leads_to_the_page() -> None:
    answer = TestClient(Prefix(answers, "/cxr")).get("/cxr", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/cxr/")
