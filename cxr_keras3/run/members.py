"""What the members of an ensemble must have in common."""

from collections.abc import Sequence

from cxr_keras3.base.errors import UserError
from cxr_keras3.run.folder import Run


def require_alike(members: Sequence[Run]) -> None:
    """Refuses members whose mean would be of nothing, or would be judged on what one of them has learnt from.

    Raises:
        UserError: Where there are fewer than two, one is an ensemble, or they differ in more than their seed.
    """
    if len(members) < 2:
        raise UserError(f"an ensemble needs two runs or more, received {len(members)}; name more")
    first = members[0]
    for member in members:
        if member.manifest.members:
            raise UserError(f"a member must be one model, {member.folder} is an ensemble; name its members")
        if member.manifest.data["listing_fingerprint"] != first.manifest.data["listing_fingerprint"]:
            raise UserError(
                f"members must have learnt from the same dataset, {member.folder} and {first.folder} have not; "
                "name others"
            )
        if member.manifest.backend != first.manifest.backend:
            raise UserError(
                f"members must be trained on one backend, {first.folder} was on {first.manifest.backend}, "
                f"{member.folder} on {member.manifest.backend}; name others"
            )
        for key in sorted(first.manifest.config.keys() | member.manifest.config.keys()):
            ours, theirs = first.manifest.config.get(key), member.manifest.config.get(key)
            if key != "seed" and ours != theirs:
                raise UserError(
                    f"members must differ in their seed alone, {key} is {ours} in {first.folder} and {theirs} in "
                    f"{member.folder}; name others"
                )
