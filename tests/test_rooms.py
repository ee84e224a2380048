"""The picture of the rooms is that of the import contract, and every room says what it is for."""

from docs import rooms


def test_the_picture_is_that_of_the_contract() -> None:
    assert rooms.PICTURE.read_text(encoding="utf-8") == rooms.draw(), "run python -m docs.rooms"


def test_every_package_is_a_room_and_says_what_it_is_for() -> None:
    named = {room for floor in rooms.floors() for room in floor}
    packages = {path.parent.name for path in (rooms.ROOT / "cxr_keras3").glob("*/__init__.py")}
    assert named == packages | {rooms.COMMANDS}
    assert all(rooms.summary(room).endswith(".") for room in named)
