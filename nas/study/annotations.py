"""Notes and pins that people set on the trials of a study: the user attributes `notes` and `pins` of the study.

    notes                 {trial number as text: text}, without empty ones
    pins                  [trial number, ...] in the order in which they were pinned

Each change reads, merges and writes in one transaction, so that several writers, such as dashboards, lose nothing of each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.errors import UsageError
from nas.formatting import count
from nas.study.attribute_types import is_index, is_number_text
from nas.study.database.attribute_writer import AttributeWriter, FileWriter
from nas.study.database.storage_url import StoragePlace
from nas.study.layout import DATABASE

NOTES = "notes"
PINS = "pins"
MAX_NOTE_CHARACTERS = 10_000
MAX_PINS = 100


def notes_of(attributes: Mapping[str, Any]) -> dict[int, str]:
    """The notes in the user `attributes` of a study: trial number -> text."""
    stored = attributes.get(NOTES)
    if not isinstance(stored, Mapping):
        return {}
    return {int(number): str(text) for number, text in stored.items() if is_number_text(str(number))}


def pins_of(attributes: Mapping[str, Any]) -> list[int]:
    """The numbers of the pinned trials in the user `attributes` of a study, in the order in which they were pinned."""
    stored = attributes.get(PINS)
    if not isinstance(stored, list):
        return []
    return list(dict.fromkeys(filter(is_index, stored)))


class Annotations:
    """Changes the notes and pins of a study.

    Args:
        writer: changes user attributes of the study.
    """

    def __init__(self, writer: AttributeWriter) -> None:
        self._writer = writer

    @classmethod
    def of_folder(cls, folder: Path) -> Annotations:
        """Those of the study in `folder`."""
        place = StoragePlace.of_folder(folder)
        if place is None:
            return cls(FileWriter(folder / DATABASE))
        from nas.study.database.server import ServerWriter  # here, since it imports SQLAlchemy

        return cls(ServerWriter(place.url.to_sqlalchemy(), place.name))

    @classmethod
    def of_storage(cls, url: str, name: str) -> Annotations:
        """Those of the study `name` in the storage at `url`."""
        from nas.study.database.server import writer_of  # here, since it imports SQLAlchemy

        return cls(writer_of(url, name))

    def set_note(self, number: int, text: str) -> dict[int, str]:
        """Set the note of the trial `number`; an empty `text` removes it.

        Returns:
            All notes.

        Raises:
            UsageError: there is no such trial, or the text is too long.
            MachineError: the database cannot be written.
        """
        if len(text) > MAX_NOTE_CHARACTERS:
            rule = f"a note must have at most {count(MAX_NOTE_CHARACTERS, 'character')}"
            raise UsageError(f"trial {number}: {rule}, found {len(text):,}")

        def merge(stored: Any) -> dict[str, str]:
            notes = notes_of({NOTES: stored})
            if text.strip():
                notes[number] = text
            else:
                notes.pop(number, None)
            return {str(key): notes[key] for key in sorted(notes)}

        return notes_of({NOTES: self._writer.update(NOTES, merge, number)})

    def pin(self, number: int) -> list[int]:
        """Pin the trial `number`; returns all pinned trials.

        Raises:
            UsageError: there is no such trial, or there are too many pins.
            MachineError: the database cannot be written.
        """

        def merge(stored: Any) -> list[int]:
            pins = pins_of({PINS: stored})
            if number in pins:
                return pins
            if len(pins) >= MAX_PINS:
                raise UsageError(f"trial {number}: at most {MAX_PINS} trials can be pinned, found {len(pins)}")
            return [*pins, number]

        return pins_of({PINS: self._writer.update(PINS, merge, number)})

    def unpin(self, number: int) -> list[int]:
        """Remove the pin of the trial `number`; returns all pinned trials.

        Raises:
            UsageError: there is no such trial.
            MachineError: the database cannot be written.
        """

        def merge(stored: Any) -> list[int]:
            return [pin for pin in pins_of({PINS: stored}) if pin != number]

        return pins_of({PINS: self._writer.update(PINS, merge, number)})
