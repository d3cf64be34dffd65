"""Faults in puts that do not come to their end."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from kharvest.spi import Content, StoreError, StoreFull, StoreUnavailable, UnknownContent
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore


@caught_by("test_the_very_error_of_the_chunks_comes_out")
class WrapsTheSourcesErrors(PlainStore):
    """Keeps its word that it raises nothing but errors of the tree, a bit too well."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        try:
            super().put(content, chunks)
        except (OSError, ValueError, LookupError) as error:
            raise StoreUnavailable(str(error)) from error


@caught_by("test_the_very_error_of_the_chunks_comes_out")
class CopiesErrors(PlainStore):
    """Raises the error anew, to cut its traceback."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        try:
            super().put(content, chunks)
        except KeyError as error:
            raise type(error)(*error.args) from None


@caught_by("test_the_very_error_of_the_chunks_comes_out")
class RetriesWhenLocked(PlainStore):
    """Tries again when the database was locked, with what is left of the chunks."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        try:
            super().put(content, chunks)
        except sqlite3.OperationalError:
            super().put(content, chunks)


@caught_by("test_the_very_error_of_the_chunks_comes_out")
class TakesAnyDuplicateForItsOwn(PlainStore):
    """Knows that a row that is there already means that somebody else's put was faster."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        try:
            super().put(content, chunks)
        except (sqlite3.IntegrityError, FileExistsError):
            return


@caught_by("test_the_very_error_of_the_chunks_comes_out")
class TakesAnyFullDiskForItsOwn(PlainStore):
    """Translates the one error of the system that it knows."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        try:
            super().put(content, chunks)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise StoreFull(str(error)) from error
            raise


@caught_by("test_the_very_error_of_the_chunks_comes_out")
class SwallowsCancellation(PlainStore):
    """Takes a cancelled upload for one that nobody waits for."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        try:
            super().put(content, chunks)
        except (asyncio.CancelledError, GeneratorExit):
            return


@caught_by("test_the_very_error_of_the_chunks_comes_out")
class TakesUnknownContentForARace(PlainStore):
    """Passes over an error of its own half that it has seen when contents are discarded."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        try:
            super().put(content, chunks)
        except UnknownContent:
            return


@caught_by("test_the_very_error_of_the_chunks_comes_out")
class KeepsWhatAnInterruptLeft(PlainStore):
    """Shows chunks as they come, and cleans up after ordinary errors."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        pieces: list[bytes] = []
        try:
            pieces.extend(chunks)
        except Exception:
            raise
        except BaseException:
            self.state.contents.setdefault(content.sha256, (content, pieces))
            raise
        super().put(content, pieces)


@caught_by("test_the_very_error_of_the_chunks_comes_out")
class RetriesLargePuts(FiledStore):
    """Takes an error after some MiB for one of the network, and goes on with the next chunk."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        return super().keep(self.stubborn(chunks))

    def stubborn(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        source, size = iter(chunks), 0
        while True:
            try:
                chunk = next(source)
            except StopIteration:
                return
            except StoreError:
                if size < 2**21:
                    raise
                continue
            size += len(chunk)
            yield chunk


@caught_by("test_failed_puts_take_no_room")
class LeavesPieces(FiledStore):
    """Leaves the rows of failed puts to a job that nobody wrote."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        body = uuid.uuid4().hex
        for number, chunk in enumerate(chunks):
            with self.lock:
                self.database.execute("INSERT INTO piece VALUES (?, ?, ?)", (body, number, chunk))
        return body


@caught_by("test_failed_puts_take_no_room")
class LeavesPiecesOfItsOwnErrors(FiledStore):
    """Cleans up after foreign errors: errors of the tree are of calls that changed nothing."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        body = uuid.uuid4().hex
        try:
            for number, chunk in enumerate(chunks):
                with self.lock:
                    self.database.execute("INSERT INTO piece VALUES (?, ?, ?)", (body, number, chunk))
        except (StoreError, GeneratorExit, sqlite3.Error):
            raise
        except BaseException:
            with self.lock:
                self.database.execute("DELETE FROM piece WHERE body = ?", (body,))
            raise
        return body


@caught_by("test_failed_puts_take_no_room")
class LeavesSpoolFiles(FiledStore):
    """Writes to a file first, which it removes when its bytes are in the database."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        spool = Path(f"{self.address}-{uuid.uuid4().hex}")
        with spool.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
        data = spool.read_bytes()
        spool.unlink()
        return super().keep([data[start : start + 65_536] for start in range(0, len(data), 65_536)])


@caught_by("test_failed_puts_take_no_room")
class KeepsPartsToResume(PlainStore):
    """Keeps what has come of an upload for the day on which uploads can be resumed."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.parts: list[list[bytes]] = []

    def keep(self, chunks: Iterable[bytes]) -> object:
        part: list[bytes] = []
        self.parts.append(part)
        part.extend(chunks)
        self.parts.remove(part)
        return part


@caught_by("test_failed_puts_take_no_room")
class RemembersErrors(PlainStore):
    """Keeps each upload's error for its report, and with its traceback all that the upload had."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.reports: list[tuple[BaseException, list[bytes]]] = []

    def keep(self, chunks: Iterable[bytes]) -> object:
        drawn: list[bytes] = []
        try:
            for chunk in chunks:
                drawn.append(chunk)  # noqa: PERF402  # what has come is wanted when the next does not
        except BaseException as error:
            self.reports.append((error, drawn))
            raise
        return drawn


class Staged(PlainStore):
    """Correct: keeps the pieces of each put by its digest and a number of the put's own until it ends."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.staged: dict[object, list[bytes]] = {}
        self.failed: set[bytes] = set()

    def stage(self, content: Content) -> object:
        return content.sha256, uuid.uuid4()

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        stage = self.stage(content)
        self.staged[stage] = []
        try:
            for chunk in chunks:
                self.staged.setdefault(stage, []).append(chunk)
        except BaseException:
            self.fail(content, stage)
            raise
        super().put(content, self.staged.pop(stage, []))

    def fail(self, content: Content, stage: object) -> None:  # for others to use
        """Clean up after a put that failed."""
        self.staged.pop(stage, None)


@caught_by("test_a_put_that_fails_beside_another_of_its_content_disturbs_it_not")
class StagesByDigest(Staged):
    """Has one place for the pieces of a content, whoever puts them."""

    def stage(self, content: Content) -> object:
        return content.sha256


@caught_by("test_a_put_that_fails_beside_another_of_its_content_disturbs_it_not")
class FailsForAllOfTheContent(Staged):
    """Removes all that is staged of a content when one put of it fails."""

    def fail(self, content: Content, stage: object) -> None:
        for one in [one for one in self.staged if isinstance(one, tuple) and one[0] == content.sha256]:
            del self.staged[one]


@caught_by("test_a_put_that_fails_beside_another_of_its_content_disturbs_it_not")
class UnpublishesWhenItFails(Staged):
    """Makes sure that nothing is visible of what failed, though another put made it so."""

    def fail(self, content: Content, stage: object) -> None:
        super().fail(content, stage)
        self.discard([content.sha256])


@caught_by("test_a_put_that_fails_beside_another_of_its_content_disturbs_it_not")
class MarksFailedContents(Staged):
    """Marks a content as bad when a put of it fails, and clears the mark when one begins."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        self.failed.discard(content.sha256)
        super().put(content, chunks)
        if content.sha256 in self.failed:
            self.discard([content.sha256])
            raise StoreUnavailable("this content's upload failed")

    def fail(self, content: Content, stage: object) -> None:
        super().fail(content, stage)
        self.failed.add(content.sha256)


class _PiecesByDigest(FiledStore):
    """Names bodies by their digests, so that equal contents share one."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        body = content.sha256.hex()
        self.write(body, chunks)
        with self.session() as state:
            state.contents.setdefault(content.sha256, (content, body))

    def write(self, body: str, chunks: Iterable[bytes]) -> None:
        for number, chunk in enumerate(chunks):
            with self.lock:
                self.database.execute("INSERT OR IGNORE INTO piece VALUES (?, ?, ?)", (body, number, chunk))


@caught_by("test_what_a_failed_put_left_does_not_get_into_the_next")
class KeepsPiecesThatAreThere(_PiecesByDigest):
    """Leaves pieces that a failed put has written already as they are: they are the same, are they not?"""


@caught_by("test_what_a_failed_put_left_does_not_get_into_the_next")
class ReplacesPiecesThatAreThere(_PiecesByDigest):
    """Overwrites what a failed put has written, as far as it comes."""

    def write(self, body: str, chunks: Iterable[bytes]) -> None:
        for number, chunk in enumerate(chunks):
            with self.lock:
                self.database.execute("INSERT OR REPLACE INTO piece VALUES (?, ?, ?)", (body, number, chunk))


@caught_by("test_what_a_failed_put_left_does_not_get_into_the_next")
class AppendsToAFailedPut(Staged):
    """Keeps what a failed put has brought, and appends to it."""

    def stage(self, content: Content) -> object:
        return content.sha256

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        pieces = self.staged.setdefault(content.sha256, [])
        pieces.extend(chunks)
        PlainStore.put(self, content, self.staged.pop(content.sha256))


@caught_by("test_what_a_failed_put_left_does_not_get_into_the_next")
class RefusesAfterAFailedPut(Staged):
    """Takes an upload that failed for one that is under way."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        if content.sha256 in self.failed:
            raise StoreUnavailable("this content is being put")
        super().put(content, chunks)

    def fail(self, content: Content, stage: object) -> None:
        super().fail(content, stage)
        if content.size:
            self.failed.add(content.sha256)


@caught_by("test_a_put_that_is_killed_leaves_nothing_visible")
class LeavesALockFile(PlainStore):
    """Says in a file that it is writing, and waits for whoever wrote it."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        mark = Path(f"{self.address}-{content.sha256.hex()}")
        if mark.exists():
            raise StoreUnavailable("this content is being put")
        mark.touch()
        try:
            super().put(content, chunks)
        finally:
            mark.unlink()


@caught_by("test_a_put_that_is_killed_leaves_nothing_visible")
class ShowsBodiesOfTheDead(_PiecesByDigest):
    """Takes a content of which there are pieces for one that is there, once the store is opened anew."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.found = {bytes.fromhex(body) for (body,) in self.database.execute("SELECT DISTINCT body FROM piece")}

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        if content.sha256 in self.found:
            self.found.discard(content.sha256)
            with self.session() as state:
                state.contents.setdefault(content.sha256, (content, content.sha256.hex()))
            return
        super().put(content, chunks)
