"""The gateway as a performer of a work list's items: claim one, answer its study, say what came of it; again.

An attempt is noted before the claim, and the claim's Transaction UID can be computed again. So an item that is IN
PROGRESS and noted is ours, also after a kill, and is done to its end; what is stored then has the same UIDs (ADR 21).
"""

import logging
import re
import time
from dataclasses import dataclass, replace
from threading import Event

from pydicom.sr.coding import Code

from cxr_keras3.pacs import codes, performed
from cxr_keras3.pacs.answering import StudyAnswer, StudyError, answer, deliver
from cxr_keras3.pacs.archive import ListedStudy
from cxr_keras3.pacs.connection import RefusedError, ServerAwayError
from cxr_keras3.pacs.service import PATIENCE, Gateway, note_answer, note_failure
from cxr_keras3.pacs.state import FAILING, NOTHING, STORED, StudyRecord
from cxr_keras3.pacs.withdrawals import Withdrawals
from cxr_keras3.pacs.work_list import CANCELED, COMPLETED, IN_PROGRESS, SCHEDULED, LostError, WorkItem, WorkList

MOST_ATTEMPTS = 12
"""Attempts in vain after which an item is cancelled, so that its requester can turn elsewhere: two to three hours."""

_UID = re.compile(r"[0-9.]{1,64}")

log = logging.getLogger(__name__)


class CanceledError(RefusedError):
    """Nothing comes of a work item. The message goes into it, and holds nothing of the study.

    Attributes:
        code: Why, of context group 9300.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, eq=False)
class Performer:
    """All that the work needs.

    Attributes:
        gateway: Answers studies.
        work_list: Has the items.
        withdrawals: Hears of requests to cancel them.
    """

    gateway: Gateway
    work_list: WorkList
    withdrawals: Withdrawals


def studies(work_list: WorkList) -> list[ListedStudy]:
    """The studies of the items that could be claimed now."""
    items = [work_list.retrieve(uid) for uid in work_list.uids(SCHEDULED)]
    found = {study: ListedStudy(study, 0) for item in items if _is_ours(work_list, item) for study in item.studies}
    return list(found.values())


def pass_over(performer: Performer, *, stop: Event) -> None:
    """Goes through the work list once: first what was begun and not ended, then what is scheduled.

    Raises:
        ServerAwayError: Where archive or work list goes away; what is left is done in the next pass.
        RefusedError: Where the work list does not list its items.
    """
    gateway = performer.gateway
    begun, scheduled = performer.work_list.uids(IN_PROGRESS), performer.work_list.uids(SCHEDULED)
    gateway.monitoring.server_up.set(1)
    gateway.state.forget_unfinished(but=[*begun, *scheduled])
    ours = [(uid, record) for uid in begun if (record := gateway.state.find(uid)) and record.stage == FAILING]
    for uid, record in [*ours, *((uid, gateway.state.see(uid, instances=0)) for uid in scheduled)]:
        if stop.is_set():
            return
        if record.is_due(settle_seconds=0) or performer.withdrawals.is_wanted(uid):
            handle(performer, uid, record)
        gateway.monitoring.show_stages(gateway.state.counts())
    gateway.monitoring.last_pass.set_to_current_time()


def handle(performer: Performer, uid: str, record: StudyRecord) -> None:
    """Claims an item where it is not ours yet, and brings it to an end, or notes that this was in vain.

    Raises:
        ServerAwayError: Where archive or work list goes away; an item that is ours by then stays so.
    """
    gateway, name = performer.gateway, f"work item {record.pseudonym}"
    started, delay = time.monotonic(), gateway.state.begin(record)
    try:
        found = _perform(performer, uid, record)
    except LostError as error:
        performer.withdrawals.let_go(uid)
        gateway.state.forget(record)
        if error.state != SCHEDULED:  # one that waits for its input, or is for another, is met again at each pass
            log.info("%s: left to others, it is %s", name, error.state)
    except CanceledError as error:
        performer.withdrawals.let_go(uid)
        gateway.state.write(replace(record, stage=NOTHING, next_try=0.0, reasons=(str(error),)))
        log.info("%s: cancelled, %s", name, error)
    except (ServerAwayError, RefusedError, StudyError) as error:
        if isinstance(error, ServerAwayError) and not error.has_answered:
            gateway.state.write(replace(record, stage=FAILING, next_try=0.0))  # it is not the item's fault
            raise
        note_failure(gateway, name, gateway.state.find(uid) or record, error, delay)
    else:
        performer.withdrawals.let_go(uid)
        gateway.state.write(replace(record, stage=STORED, next_try=0.0, reasons=tuple(found.refusals)))
        note_answer(gateway, name, found, seconds=time.monotonic() - started)


def _perform(performer: Performer, uid: str, record: StudyRecord) -> StudyAnswer:
    """Does the work of an item.

    Raises:
        CanceledError: Where the item was cancelled, since nothing comes of it.
        LostError: Where another has it.
    """
    work_list, transaction = performer.work_list, performer.gateway.state.transaction(uid)
    item = work_list.retrieve(uid)
    if _is_ours(work_list, item):
        work_list.claim(uid, transaction)
    elif item.state != IN_PROGRESS:
        raise LostError(item.state)
    performer.withdrawals.listen(uid)
    try:
        begun, fallback = performed.now(), Code(work_list.station, codes.SCHEME, work_list.station)
        found = _answer(performer, item, record)
        done = performed.output(
            found.documents,
            begun=begun,
            station=next(filter(lambda code: code.value == work_list.station, item.stations), fallback),
            archive_url=performer.gateway.client.base_url,
        )
        work_list.update(uid, transaction, done)
        work_list.finish(uid, transaction, COMPLETED)
    except CanceledError as error:
        work_list.update(uid, transaction, performed.cancellation(error.code, str(error)))
        work_list.finish(uid, transaction, CANCELED)
        raise
    return found


def _answer(performer: Performer, item: WorkItem, record: StudyRecord) -> StudyAnswer:
    """Answers the study of an item that is ours.

    Raises:
        CanceledError: Where nothing can come of it, or somebody wants it cancelled.
    """
    gateway = performer.gateway

    def go_on(done: int, total: int) -> None:
        if performer.withdrawals.is_wanted(item.uid):
            raise CanceledError(performed.UNSPECIFIED, "cancelled as was asked for")
        changes = performed.progress(done, total)
        performer.work_list.update(item.uid, gateway.state.transaction(item.uid), changes)

    if record.attempts >= MOST_ATTEMPTS:
        raise CanceledError(performed.UNSPECIFIED, f"given up after {record.attempts} attempts: {record.reasons[0]}")
    if len(item.studies) != 1 or not _UID.fullmatch(item.studies[0]):
        raise CanceledError(performed.BAD_INPUT, f"the input must be one study, received {len(item.studies)}")
    study, patient = ListedStudy(item.studies[0], 0), record.attempts < PATIENCE
    found = answer(gateway.client, gateway.predictor, study, patient=patient, before_each=go_on)
    if not found.documents:
        reasons = ". ".join(dict.fromkeys(found.refusals)) or "the study holds no CR or DX image"
        raise CanceledError(performed.NOTHING_SUITABLE, f"no chest film that can be scored: {reasons}")
    go_on(1, 1)
    deliver(gateway.client, found, fhir=gateway.fhir)
    return found


def _is_ours(work_list: WorkList, item: WorkItem) -> bool:
    """Whether an item may be claimed; servers need not heed all filters of a search."""
    return item.state == SCHEDULED and item.is_ready and work_list.station in [code.value for code in item.stations]
