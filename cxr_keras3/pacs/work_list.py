"""What is asked of a work list (UPS-RS, PS3.18 chapter 11): search, claim, update, finish, subscribe."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pydicom
import requests
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from cxr_keras3.pacs.archive import pages, required, value
from cxr_keras3.pacs.connection import TIMEOUT, RefusedError, asking

SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED = "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"
PAGE = 100
_JSON = "application/dicom+json"
_UID, _TRANSACTION, _STATE = "00080018", "00081195", "00741000"


class LostError(RefusedError):
    """A work item is no longer in the state that a request takes for granted: another has it, or has ended it.

    Attributes:
        state: Its state now.
    """

    def __init__(self, state: str) -> None:
        super().__init__(f"the work item is {state} by another's doing")
        self.state = state


@dataclass(frozen=True)
class WorkItem:
    """A work item.

    Attributes:
        uid: SOP Instance UID.
        state: Procedure Step State.
        stations: Codes of the stations that it is scheduled for.
        is_ready: Whether its input is said to be there.
        studies: Study Instance UIDs of its input, each once.
    """

    uid: str
    state: str
    stations: tuple[Code, ...]
    is_ready: bool
    studies: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class WorkList:
    """A work list.

    Attributes:
        url: Of the service, without `/workitems`.
        session: From `connection.Access`.
        station: Code value of our station name; only what is scheduled for it is ours to take.
    """

    url: str
    session: requests.Session
    station: str

    def uids(self, state: str) -> list[str]:
        """The items in a state that are scheduled for our station, as the server says.

        Raises:
            ServerAwayError: Where it does not answer.
            RefusedError: Where it does not list its items.
        """

        def page(offset: int) -> Sequence[Mapping[str, Any]]:
            filters = {"ProcedureStepState": state, "ScheduledStationNameCodeSequence.CodeValue": self.station}
            if state == SCHEDULED:
                filters["InputReadinessState"] = "READY"
            answer = self._ask("GET", "", params={**filters, "limit": str(PAGE), "offset": str(offset)})
            return json.loads(answer.content) if answer.content else []

        return [str(required(item, _UID)) for item in pages(page, key=_UID, what="work items")]

    def retrieve(self, uid: str) -> WorkItem:
        """An item as it is now."""
        with asking("a work item"), pydicom.config.disable_value_validation():
            found = json.loads(self._ask("GET", f"/{quote(uid, safe='')}").content)
            (item,) = found if isinstance(found, list) else [found]
            dataset = Dataset.from_json({tag: item[tag] for tag in item if tag in _READ})
            stations = [_code(each) for each in dataset.get("ScheduledStationNameCodeSequence") or []]
            inputs = [str(each.get("StudyInstanceUID", "")) for each in dataset.get("InputInformationSequence") or []]
            state, readiness = str(value(item, _STATE)), dataset.get("InputReadinessState")
        return WorkItem(uid, state, tuple(stations), readiness == "READY", tuple(dict.fromkeys(filter(None, inputs))))

    def claim(self, uid: str, transaction: str) -> None:
        """Takes an item.

        Raises:
            LostError: Where another has it.
        """
        with self._taken_for(uid, SCHEDULED):
            self._change_state(uid, transaction, IN_PROGRESS)

    def update(self, uid: str, transaction: str, changes: Dataset) -> None:
        """Changes attributes of an item that we have claimed.

        Raises:
            LostError: Where it is no longer ours to change.
        """
        # The standard's template wants the bare UID as the query; some servers read it from the dataset, as DIMSE does.
        changes.TransactionUID = transaction
        with self._taken_for(uid, IN_PROGRESS):
            self._ask("POST", f"/{quote(uid, safe='')}?{transaction}", dataset=changes)

    def finish(self, uid: str, transaction: str, state: str) -> None:
        """Brings an item of ours to COMPLETED or CANCELED; one that is there already is left so.

        Raises:
            LostError: Where it has come to another end.
        """
        try:
            with self._taken_for(uid, IN_PROGRESS):
                self._change_state(uid, transaction, state)
        except LostError as error:
            if error.state != state:
                raise

    def subscribe(self, uid: str, title: str) -> str:
        """Asks to be told of an item's events; returns the address of the channel on which that is done."""
        answer = self._ask("POST", f"/{quote(uid, safe='')}/subscribers/{title}")
        with asking("a subscription"):
            return str(answer.headers["Content-Location"])

    def _change_state(self, uid: str, transaction: str, state: str) -> None:
        wanted = Dataset()
        wanted.TransactionUID, wanted.ProcedureStepState = transaction, state
        self._ask("PUT", f"/{quote(uid, safe='')}/state", dataset=wanted)

    @contextmanager
    def _taken_for(self, uid: str, state: str) -> Iterator[None]:
        """Looks, where a request is refused, whether that is for the item's state: servers say it by several codes."""
        try:
            yield
        except RefusedError:
            now = self.retrieve(uid).state
            if now != state:
                raise LostError(now) from None
            raise

    def _ask(
        self, method: str, path: str, *, dataset: Dataset | None = None, params: dict[str, str] | None = None
    ) -> requests.Response:
        headers = {"Accept": _JSON}
        body = None
        if dataset is not None:
            headers["Content-Type"] = _JSON
            body = json.dumps([dataset.to_json_dict()])
        with asking("a work item"):
            answer = self.session.request(
                method, f"{self.url}/workitems{path}", params=params, data=body, headers=headers, timeout=TIMEOUT
            )
            answer.raise_for_status()
        return answer


def _code(item: Dataset) -> Code:
    return Code(*(str(item.get(keyword, "")) for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")))


_READ = frozenset({"00404021", "00404025", "00404041"})  # input, stations, readiness; the rest is not looked at
