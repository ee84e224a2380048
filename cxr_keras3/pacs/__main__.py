"""Scores the chest CR and DX studies of a PACS, new ones or those on a work list, and stores report, map and lungs.

It speaks DICOMweb with the archive and UPS-RS with the work list. Originals are never touched: the gateway finds,
fetches and adds. Not a medical device: for research only.
Secrets come from the environment: CXR_PACS_PASSWORD for --user, or CXR_PACS_TOKEN for a bearer token.

Example: python -m cxr_keras3.pacs --dicomweb https://pacs.example/dicom-web --model runs/first --user gateway
"""

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from cxr_keras3.backend import selection
from cxr_keras3.base.errors import UserError, run_command

STATE = Path(platformdirs.user_state_dir("cxr_keras3")) / "pacs.sqlite3"


def main(arguments: Sequence[str]) -> int:
    """Serves until SIGTERM or SIGINT, and returns 0 then; see `_parse` for what else it does."""
    options = _parse(arguments)
    _keep_logs_clean()
    try:
        from cxr_keras3.pacs import gateway
    except ModuleNotFoundError as error:
        raise UserError(
            f"the gateway needs {error.name}, which is not installed; python -m pip install 'cxr_keras3[pacs]'"
        ) from error
    if options.explain:
        return gateway.explain(options.explain, state_path=options.state, run_dir=options.model, site=options.site)
    return gateway.serve(options)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cxr_keras3.pacs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--dicomweb", required=True, metavar="URL", help="of the archive's DICOMweb service")
    add("--model", type=Path, metavar="RUN", help="run folder; the reference model when left out")
    add("--site", type=Path, help="profile of this hospital, which cxr commission writes")
    add("--runtime", choices=selection.RUNTIMES, help="what computes; see predict")
    add("--user", help="for basic authentication; the password is in CXR_PACS_PASSWORD")
    add(
        "--ca-bundle", type=Path, metavar="PEM", help="authorities that may vouch for the server, in place of the usual"
    )
    add("--client-cert", type=Path, metavar="PEM", help="certificate that vouches for the gateway")
    add("--client-key", type=Path, metavar="PEM", help="its private key, where that is in a file of its own")
    add("--state", type=Path, default=STATE, metavar="FILE", help="what was done before (default: %(default)s)")
    add(
        "--work-list",
        metavar="URL",
        help="of a UPS-RS service: do the work items scheduled for --station, rather than search for studies",
    )
    add("--station", metavar="CODE", help="code value of the station name for which they are scheduled")
    add("--days", type=_natural, default=7, help="how far back the studies' dates may lie (default: %(default)s)")
    add("--poll", type=_positive, default=30, metavar="SECONDS", help="between two searches (default: %(default)s)")
    add(
        "--settle",
        type=_natural,
        default=60,
        metavar="SECONDS",
        help="without a new image make a study complete (default: %(default)s)",
    )
    add(
        "--metrics",
        default="127.0.0.1:9108",
        metavar="HOST:PORT",
        help="where /metrics is served (default: %(default)s)",
    )
    add(
        "--fhir",
        metavar="DIR|URL",
        help="also give each report as FHIR R4 resources, into a folder or to a server; its token is in CXR_FHIR_TOKEN",
    )
    add("--dry-run", action="store_true", help="say what would be stored now, store and remember nothing, and end")
    add("--explain", metavar="UID", help="say what became of a study, or work item, by the state file, and end")
    return parser.parse_args(arguments)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, received {text!r}")
    return int(text)


def _positive(text: str) -> int:
    if _natural(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, received {text!r}")
    return int(text)


def _keep_logs_clean() -> None:
    """Shows our own log alone: other libraries' records and warnings quote addresses with UIDs, and headers."""
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    ours = logging.getLogger("cxr_keras3.pacs")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False


if __name__ == "__main__":
    run_command(main)
