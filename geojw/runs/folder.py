"""A folder of results that appears whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from geojw.errors import Fault, GeojwError, OutputError

PASSPORT = "passport.json"
UNFINISHED = "passport.unfinished.json"
"""What an old passport is called while its result is being replaced: a folder with it is not a result."""


@dataclass(eq=False)
class ResultFolder:
    """
    A folder of results that appears whole or not at all.

    Everything is written into a hidden folder beside it (`work`); `publish` moves the files into place, the passport
    last. A folder without ``passport.json`` is not a result.

    Parameters
    ----------
    folder
        Where the results go.
    """

    result: ClassVar[str] = "screening"
    """What kind of result it is; a folder holds one kind."""

    products: ClassVar[tuple[str, ...]] = ()
    """Everything that such a result may leave: what a new run does not write it takes away."""

    folder: Path
    work: Path = field(init=False)

    def __enter__(self) -> Self:
        try:
            self._check_folder()
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.work = self._begun()
        except OSError as error:
            raise _unwritable(self.folder, error) from None
        return self

    def _begun(self) -> Path:
        """Make the hidden folder."""
        return Path(tempfile.mkdtemp(prefix=f".{self.folder.name}.partial-", dir=self.folder.parent))

    def _left(self, cause: BaseException | None) -> Sequence[Fault]:  # noqa: ARG002 - others ask why
        """Take the hidden folder away; give what there is to say of it."""
        shutil.rmtree(self.work, ignore_errors=True)
        return ()

    def _check_folder(self) -> None:
        """Refuse a folder that is no folder, holds another kind of result, or files that are not an old result."""
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise OutputError([Fault("out_is_file", self.folder.name)])
        there = [name for name in (*self.products, PASSPORT, UNFINISHED) if (self.folder / name).exists()]
        if there and PASSPORT not in there and UNFINISHED not in there:
            raise OutputError([Fault("out_not_ours", self.folder.name, {"files": ", ".join(there)})])
        kind = _kind(self.folder / PASSPORT)
        if kind not in (None, self.result):
            raise OutputError([Fault("out_other_result", self.folder.name, {"kind": kind})])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        late: OSError | None = None
        try:
            self.close()
        except OSError as problem:
            late = problem
        cause = error if error is not None else late
        if isinstance(cause, OSError):
            cause = _unwritable(self.folder, cause)
        told = self._left(cause)
        if isinstance(cause, GeojwError) and (cause is not error or told):
            raise type(cause)([*cause.faults, *told]) from None

    def close(self) -> None:
        """Finish every file, also where one of them cannot be."""

    def publish(self, passport: Mapping[str, object]) -> None:
        """
        Put the finished files into place.

        Parameters
        ----------
        passport
            What ``passport.json`` says.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        try:
            self.close()
            text = json.dumps({"result": self.result, **passport}, ensure_ascii=False, indent=1, sort_keys=True)
            (self.work / PASSPORT).write_text(text + "\n", "utf-8")
            if self.folder.exists():
                self._exchange()
            else:
                self.work.chmod(0o755)
                self.work.rename(self.folder)
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def _exchange(self) -> None:
        """Put the new files over an old result, which stops being one before the first of them moves."""
        if (self.folder / PASSPORT).exists():
            (self.folder / PASSPORT).replace(self.folder / UNFINISHED)
        for name in self.products:
            new, old = self.work / name, self.folder / name
            if old.is_dir():  # a table in parts
                shutil.rmtree(old)
            elif new.is_dir() or not new.exists():
                old.unlink(missing_ok=True)
            if new.exists():
                new.replace(old)
        (self.work / PASSPORT).replace(self.folder / PASSPORT)
        (self.folder / UNFINISHED).unlink(missing_ok=True)


def _kind(passport: Path) -> object:
    """Give what kind of result a passport belongs to; None where it cannot be read."""
    try:
        return json.loads(passport.read_text("utf-8")).get("result", ResultFolder.result)
    except (OSError, ValueError, AttributeError):
        return None


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError([Fault("out_unwritable", folder.name, {"error": error.strerror or type(error).__name__})])
