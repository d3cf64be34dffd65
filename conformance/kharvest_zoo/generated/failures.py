"""Faults in what fails: errors, what they say, and what a failed call leaves behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kharvest.spi import Conflict, Content, InvalidCursor, InvalidValue, StoreUnavailable, UnknownContent
from kharvest_zoo.generated.table import Rule, around, broken, change
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

# which error


def _raising(caught: type[BaseException], instead: Rule) -> Any:
    """Raises another error; answers None if there is none instead."""

    def wrap(self: Any, call: Any, *given: Any, **named: Any) -> Any:
        try:
            return call(*given, **named)
        except caught as error:
            other = instead(error, given)
            if other is None:
                return None
            raise other from error

    return wrap


for _method in ("record", "append"):
    for _error in (UnknownContent, Conflict):
        _name = _error.__name__.lower()
        for _kind, _fault, _instead in (
            ("swallowed", "passes over it", lambda error, given: None),
            (
                "as_unavailable",
                "reports that the store is not there",
                lambda error, given: StoreUnavailable("constraint failed"),
            ),
            ("as_a_value_error", "raises ValueError", lambda error, given: ValueError(str(error))),
            ("as_a_key_error", "raises KeyError", lambda error, given: KeyError(str(error))),
            (
                "as_an_invalid_value",
                "raises InvalidValue",
                lambda error, given: InvalidValue("files", str(error), "put it"),
            ),
        ):
            change(_method, f"{_name}_{_kind}", f"{_error.__name__}: {_fault}", _raising(_error, _instead))
    for _kind, _fault, _facts in (
        ("no_facts", "says nothing", lambda error, given: UnknownContent()),
        (
            "one_fact",
            "names the first only",
            lambda error, given: UnknownContent(
                frozenset(sorted(error.sha256s)[:1]), signatures=frozenset(sorted(error.signatures)[:1])
            ),
        ),
        (
            "one_fact_if_all",
            "names the last only",
            lambda error, given: UnknownContent(
                frozenset(sorted(error.sha256s)[-1:]), signatures=frozenset(sorted(error.signatures)[-1:])
            ),
        ),
        (
            "all_facts",
            "names all of the batch",
            lambda error, given: UnknownContent(
                frozenset(one.sha256 for one in given[0].values()) if error.sha256s else frozenset(),
                signatures=frozenset(one.signature for one in given[1]) if error.signatures else frozenset(),
            ),
        ),
        (
            "a_set",
            "has a set for a frozen set",
            lambda error, given: _with(error, sha256s=set(error.sha256s), signatures=set(error.signatures)),
        ),
        (
            "a_list",
            "has a list for a frozen set",
            lambda error, given: _with(error, sha256s=list(error.sha256s), signatures=list(error.signatures)),
        ),
        (
            "hex",
            "has digests as hexadecimal digits",
            lambda error, given: _with(error, sha256s=frozenset(one.hex() for one in error.sha256s)),
        ),
        (
            "paths",
            "has paths for signatures",
            lambda error, given: _with(error, signatures=frozenset(one.path for one in error.signatures)),
        ),
        (
            "md5s",
            "has the MD5 for the SHA-256",
            lambda error, given: _with(
                error, sha256s=frozenset(one.md5 for one in given[0].values() if one.sha256 in error.sha256s)
            ),
        ),
        (
            "signatures_only",
            "names signatures only",
            lambda error, given: UnknownContent(
                signatures=error.signatures
                or frozenset(name for name, one in given[0].items() if one.sha256 in error.sha256s)
            ),
        ),
    ):
        change(_method, f"unknown_says_{_kind}", f"UnknownContent: {_fault}", _raising(UnknownContent, _facts))
    for _kind, _fault, _facts in (
        (
            "turned",
            "has stored and offered the wrong way round",
            lambda error, given: Conflict(error.signature, error.offered, error.stored),
        ),
        (
            "offered_twice",
            "has what was offered twice",
            lambda error, given: Conflict(error.signature, error.offered, error.offered),
        ),
        (
            "stored_twice",
            "has what is stored twice",
            lambda error, given: Conflict(error.signature, error.stored, error.stored),
        ),
        (
            "another",
            "names the first file of the batch",
            lambda error, given: Conflict(next(iter(given[0])), error.stored, error.offered),
        ),
        (
            "the_last",
            "names the last file of the batch",
            lambda error, given: Conflict(list(given[0])[-1], error.stored, error.offered),
        ),
    ):
        change(_method, f"conflict_says_{_kind}", f"Conflict: {_fault}", _raising(Conflict, _facts))

for _method in ("references", "files"):
    for _kind, _fault, _instead in (
        ("as_a_value_error", "raises ValueError", lambda error, given: ValueError(str(error))),
        ("as_a_key_error", "raises KeyError", lambda error, given: KeyError(str(error))),
        ("as_unavailable", "reports that the store is not there", lambda error, given: StoreUnavailable("cursor")),
        ("swallowed", "answers None", lambda error, given: None),
    ):
        change(_method, f"invalid_cursor_{_kind}", f"InvalidCursor: {_fault}", _raising(InvalidCursor, _instead))

    def _from_start(self: Any, call: Any, query: Any) -> Any:
        try:
            return call(query)
        except InvalidCursor:
            return call(replace(query, cursor=None))

    change(_method, "invalid_cursor_is_the_start", "begins at the start when a cursor is not its own", _from_start)

for _kind, _fault, _facts in (
    ("as_a_key_error", "raises KeyError", lambda error, given: KeyError(str(error))),
    ("as_a_missing_file", "raises FileNotFoundError", lambda error, given: FileNotFoundError(str(error))),
    ("no_facts", "says nothing", lambda error, given: UnknownContent()),
    (
        "hex",
        "has the digest as hexadecimal digits",
        lambda error, given: _with(error, sha256s=frozenset(one.hex() for one in error.sha256s)),
    ),
    ("bytes", "has the digest, and no set", lambda error, given: _with(error, sha256s=given[0])),
):
    change("read", f"unknown_{_kind}", f"UnknownContent: {_fault}", _raising(UnknownContent, _facts))


def _nothing_to_read(self: Any, call: Any, *given: Any, **named: Any) -> Any:
    try:
        return call(*given, **named)
    except UnknownContent:
        return iter(())


change("read", "unknown_is_empty", "gives nothing of what is not there", _nothing_to_read)


def _with(error: Any, **facts: Any) -> Any:
    for name, fact in facts.items():
        object.__setattr__(error, name, fact)
    return error


# chunks that fail


def _put_caught(
    handle: Rule,
    kinds: tuple[type[BaseException], ...] = (BaseException,),
) -> Any:
    def put(self: Any, call: Any, content: Content, chunks: Any) -> None:
        drawn: list[bytes] = []

        def noted() -> Any:
            for chunk in chunks:
                drawn.append(chunk)
                yield chunk

        try:
            call(content, noted())
        except kinds as error:
            handle(self, call, content, error, drawn)

    return put


def _wraps(kind: Rule) -> Any:
    def handle(self: Any, call: Any, content: Content, error: BaseException, drawn: list[bytes]) -> None:
        raise kind(str(error)) from error

    return handle


def _copies(self: Any, call: Any, content: Content, error: BaseException, drawn: list[bytes]) -> None:
    raise type(error)(*error.args)


def _keeps_drawn(self: Any, call: Any, content: Content, error: BaseException, drawn: list[bytes]) -> None:
    call(content, drawn)
    raise error


def _keeps_complete(self: Any, call: Any, content: Content, error: BaseException, drawn: list[bytes]) -> None:
    if sum(map(len, drawn)) == content.size:
        call(content, drawn)
    raise error


def _swallows(self: Any, call: Any, content: Content, error: BaseException, drawn: list[bytes]) -> None:
    return


def _removes(self: Any, call: Any, content: Content, error: BaseException, drawn: list[bytes]) -> None:
    self.discard([content.sha256])
    raise error


change(
    "put",
    "wraps_what_chunks_raise",
    "raises StoreUnavailable for what chunks raise",
    _put_caught(_wraps(StoreUnavailable)),
)
change(
    "put",
    "wraps_exceptions_only",
    "raises RuntimeError for what chunks raise",
    _put_caught(_wraps(RuntimeError), (Exception,)),
)
change(
    "put",
    "wraps_os_errors",
    "raises StoreUnavailable for an OSError of chunks",
    _put_caught(_wraps(StoreUnavailable), (OSError,)),
)
change(
    "put",
    "wraps_value_errors",
    "raises InvalidValue for a ValueError of chunks",
    _put_caught(_wraps(StoreUnavailable), (ValueError,)),
)
change(
    "put",
    "wraps_what_is_no_exception",
    "raises RuntimeError for a KeyboardInterrupt of chunks",
    _put_caught(_wraps(RuntimeError), (KeyboardInterrupt, SystemExit, GeneratorExit)),
)
change(
    "put",
    "wraps_lookup_errors",
    "raises UnknownContent for a LookupError of chunks",
    _put_caught(_wraps(StoreUnavailable), (LookupError,)),
)
change(
    "put",
    "wraps_run_time_errors",
    "raises StoreUnavailable for a RuntimeError of chunks",
    _put_caught(_wraps(StoreUnavailable), (RuntimeError,)),
)
change("put", "raises_a_copy", "raises a copy of what chunks raise", _put_caught(_copies))
change("put", "keeps_what_was_drawn", "keeps what was drawn when chunks fail", _put_caught(_keeps_drawn))
change(
    "put", "keeps_what_is_complete", "keeps all bytes though the check after them fails", _put_caught(_keeps_complete)
)
change(
    "put",
    "keeps_what_was_drawn_if_interrupted",
    "keeps what was drawn when it is interrupted",
    _put_caught(_keeps_drawn, (KeyboardInterrupt, SystemExit, GeneratorExit)),
)
change(
    "put",
    "keeps_what_was_drawn_if_time_is_out",
    "keeps what was drawn when time is out",
    _put_caught(_keeps_drawn, (TimeoutError,)),
)
change("put", "swallows_exceptions", "passes over what chunks raise", _put_caught(_swallows, (Exception,)))
change(
    "put",
    "swallows_interruptions",
    "passes over a KeyboardInterrupt",
    _put_caught(_swallows, (KeyboardInterrupt, SystemExit, GeneratorExit)),
)
change("put", "removes_what_others_put", "removes the content when chunks fail, also another's", _put_caught(_removes))


def _stops_at_size(self: Any, call: Any, content: Content, chunks: Any) -> None:
    def enough() -> Any:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            yield chunk
            if size >= content.size:
                return

    call(content, enough())


def _shows_first(self: Any, call: Any, content: Content, chunks: Any) -> None:
    with self.session() as state:
        there = content.sha256 in state.contents
        state.contents.setdefault(content.sha256, (content, []))
    if there:
        return
    kept: list[bytes] = []
    try:
        for chunk in chunks:
            kept.append(chunk)
            with self.session() as state:
                state.contents[content.sha256] = (content, list(kept))
    except BaseException:
        self.discard([content.sha256])
        raise


def _shows_at_last_chunk(self: Any, call: Any, content: Content, chunks: Any) -> None:
    kept: list[bytes] = []
    try:
        for chunk in chunks:
            kept.append(chunk)
            if sum(map(len, kept)) == content.size:
                call(content, list(kept))
    except BaseException:
        if sum(map(len, kept)) == content.size:
            self.discard([content.sha256])
        raise
    call(content, kept)


def _removes_first(self: Any, call: Any, content: Content, chunks: Any) -> None:
    self.discard([content.sha256])
    call(content, chunks)


def _replaces(self: Any, call: Any, content: Content, chunks: Any) -> None:
    kept = self.keep(chunks)
    with self.session() as state:
        state.contents[content.sha256] = (content, kept)


def _refuses_again(self: Any, call: Any, content: Content, chunks: Any) -> None:
    kept = self.keep(chunks)
    with self.session() as state:
        if content.sha256 in state.contents:
            raise StoreUnavailable("it exists")
        state.contents[content.sha256] = (content, kept)


def _refuses_meanwhile(self: Any, call: Any, content: Content, chunks: Any) -> None:
    with self.session() as state:
        if content.sha256 in state.contents:
            return
    _refuses_again(self, call, content, chunks)


def _one_name(self: Any, call: Any, content: Content, chunks: Any) -> None:
    parts = self.__dict__.setdefault("parts", {})
    parts[content.sha256] = []
    for chunk in chunks:
        parts[content.sha256].append(chunk)
    call(content, parts[content.sha256])


def _one_name_removed(self: Any, call: Any, content: Content, chunks: Any) -> None:
    parts = self.__dict__.setdefault("parts", {})
    parts[content.sha256] = mine = []
    try:
        mine.extend(chunks)
    except BaseException:
        parts.pop(content.sha256, None)
        raise
    call(content, parts.pop(content.sha256))


change("put", "stops_at_its_size", "draws no more when it has all bytes", _stops_at_size)
change("put", "shows_what_comes", "shows each chunk when it comes", _shows_first)
change("put", "shows_at_the_last_chunk", "shows it when the last byte is there", _shows_at_last_chunk)
change("put", "removes_it_first", "removes the content before it puts it again", _removes_first)
change("put", "replaces_it", "writes the content again", _replaces)
change("put", "refuses_it_again", "fails for what is there", _refuses_again)
change("put", "refuses_what_came_meanwhile", "fails for what came while it drew", _refuses_meanwhile)
change("put", "writes_to_one_name", "writes several puts of one content into one file", _one_name)
change(
    "put", "removes_one_name", "removes the one file of several puts of one content when one fails", _one_name_removed
)

# what a failed batch leaves


def _in_parts(size: int) -> Any:
    """Writes a batch in several transactions, and checks each of them alone."""

    def write(self: Any, call: Any, files: Any, references: Any) -> Any:
        answer: list[Any] = []
        for start in range(0, len(references), size):
            part = references[start : start + size]
            named = {one.signature for one in part}
            answer += call({name: content for name, content in files.items() if name in named}, part) or []
        return answer

    return write


def _answering_nothing(wrap: Any) -> Any:
    def quiet(self: Any, call: Any, *given: Any) -> None:
        wrap(self, call, *given)

    return quiet


for _method in ("record", "append"):
    for _size in (1, 100, 500, 1000, 5000):
        change(
            _method,
            f"writes_parts_of_{_size}",
            f"writes {_size} references in a transaction, and checks each alone",
            _in_parts(_size) if _method == "append" else _answering_nothing(_in_parts(_size)),
        )


def _files_first(self: Any, state: State, files: Any, references: Any) -> None:
    """Puts the files in before it has looked at the references."""
    self.check_contents(state, files)
    for signature, content in files.items():
        stored = self.file_of(state, signature)
        if stored is not None and stored != content:
            raise Conflict(signature, stored, content)
        state.files[signature] = content
    PlainStore.check(self, state, files, references)


def _files_as_they_are_checked(self: Any, state: State, files: Any, references: Any) -> None:
    self.check_contents(state, files)
    named = {one.signature for one in references}
    for signature, content in files.items():
        stored = self.file_of(state, signature)
        if stored is not None and stored != content:
            raise Conflict(signature, stored, content)
        if signature in named:
            state.files[signature] = content
    PlainStore.check(self, state, files, references)


def _no_conflicts(self: Any, state: State, files: Any, references: Any) -> None:
    self.check_contents(state, files)
    named = {one.signature for one in references if not one.signature.is_removal}
    unknown = {one for one in named if one not in files and self.file_of(state, one) is None}
    if unknown:
        raise UnknownContent(signatures=frozenset(unknown))


def _conflicts_of(test: Rule) -> Any:
    def check(self: Any, state: State, files: Any, references: Any) -> None:
        for signature, content in files.items():
            stored = self.file_of(state, signature)
            if stored is not None and test(stored, content):
                raise Conflict(signature, stored, content)
        _no_conflicts(self, state, files, references)

    return check


def _only_named(self: Any, state: State, files: Any, references: Any) -> None:
    named = {one.signature for one in references}
    PlainStore.check(self, state, {name: content for name, content in files.items() if name in named}, references)


def _overwrites(self: Any, state: State, files: Any, reference: Any) -> None:
    PlainStore.add(self, state, files, reference)
    if reference.signature in files and not reference.signature.is_removal:
        state.files[reference.signature] = files[reference.signature]


def _all_files(self: Any, state: State, files: Any, reference: Any) -> None:
    PlainStore.add(self, state, files, reference)
    state.files.update(files)


def _no_removals(self: Any, state: State, files: Any, reference: Any) -> None:
    if not reference.signature.is_removal:
        PlainStore.add(self, state, files, reference)


def _moves_again(self: Any, state: State, files: Any, reference: Any) -> None:
    if reference in state.references:
        state.references[reference] = state.arrivals
        state.arrivals += 1
    PlainStore.add(self, state, files, reference)


def _one_arrival(self: Any, state: State, files: Any, reference: Any) -> None:
    before = state.arrivals
    PlainStore.add(self, state, files, reference)
    state.arrivals = before


broken("record__leaves_files_behind", "knows the files of a batch that failed", check=_files_first)
broken(
    "record__leaves_named_files_behind",
    "knows the named files of a batch that failed",
    check=_files_as_they_are_checked,
)
broken("record__sees_no_conflict", "does not look for conflicts", check=_no_conflicts)
broken(
    "record__sees_no_conflict_and_overwrites",
    "writes the newer content of a signature",
    check=_no_conflicts,
    add=_overwrites,
)
broken(
    "record__sees_conflicts_by_size",
    "compares sizes",
    check=_conflicts_of(lambda stored, offered: stored.size != offered.size),
)
broken(
    "record__sees_conflicts_by_sha256",
    "compares digests, but not sizes",
    check=_conflicts_of(lambda stored, offered: stored.sha256 != offered.sha256),
)
broken(
    "record__sees_conflicts_by_md5",
    "compares MD5",
    check=_conflicts_of(lambda stored, offered: stored.md5 != offered.md5),
)
broken("record__looks_at_named_files_only", "does not check files that no reference names", check=_only_named)
broken("record__keeps_all_files", "knows files that no reference names", add=_all_files)
broken("record__passes_over_removals", "does not record removals", add=_no_removals)
broken("record__moves_what_is_there", "puts a reference that is there behind others of its time", add=_moves_again)
broken("record__gives_one_place_to_all", "has no order for references of one time", add=_one_arrival)
broken(
    "record__looks_for_no_contents",
    "does not look whether contents are stored",
    check_contents=lambda self, state, files: None,
)


def _unknown_contents(self: Any, state: State, files: Any) -> None:
    for content in files.values():
        if content.sha256 not in state.contents:
            raise UnknownContent(sha256s=frozenset({content.sha256}))


def _contents_of_new_files(self: Any, state: State, files: Any) -> None:
    PlainStore.check_contents(
        self, state, {name: content for name, content in files.items() if name not in state.files}
    )


def _contents_of_first_hundred(self: Any, state: State, files: Any) -> None:
    PlainStore.check_contents(self, state, dict(list(files.items())[:100]))


def _contents_by_md5(self: Any, state: State, files: Any) -> None:
    there = {content.md5 for content, _ in state.contents.values()}
    absent = {content.sha256 for content in files.values() if content.md5 not in there}
    if absent:
        raise UnknownContent(sha256s=frozenset(absent))


broken(
    "record__stops_at_the_first_absent_content",
    "names the first content that is not there",
    check_contents=_unknown_contents,
)
broken(
    "record__looks_for_contents_of_new_files",
    "does not look for the content of a known file",
    check_contents=_contents_of_new_files,
)
broken(
    "record__looks_for_a_hundred_contents",
    "looks for the first 100 contents",
    check_contents=_contents_of_first_hundred,
)
broken("record__looks_for_contents_by_md5", "looks for contents by MD5", check_contents=_contents_by_md5)
broken(
    "forget__keeps_files", "knows files that no reference names any more", forget_files=lambda self, state, doomed: None
)


def _forgets_too_many(self: Any, state: State, doomed: Any) -> None:
    for one in doomed:
        state.files.pop(one.signature, None)


def _forgets_by_path(self: Any, state: State, doomed: Any) -> None:
    named = {one.signature.path for one in state.references}
    state.files = {name: content for name, content in state.files.items() if name.path in named}


def _forgets_by_md5(self: Any, state: State, doomed: Any) -> None:
    named = {one.signature.md5 for one in state.references}
    state.files = {name: content for name, content in state.files.items() if name.md5 in named}


def _forgets_contents(self: Any, state: State, doomed: Any) -> None:
    before = dict(state.files)
    PlainStore.forget_files(self, state, doomed)
    for name in before.keys() - state.files.keys():
        state.contents.pop(before[name].sha256, None)


def _forgets_latest_only(self: Any, state: State, doomed: Any) -> None:
    named = {one.signature for one in self.latest(sorted(state.references, key=lambda one: self.rank(state, one)))}
    state.files = {name: content for name, content in state.files.items() if name in named}


broken(
    "forget__forgets_files_that_are_named",
    "knows no file that it has removed a reference to",
    forget_files=_forgets_too_many,
)
broken("forget__forgets_files_by_path", "knows files while their path is named", forget_files=_forgets_by_path)
broken("forget__forgets_files_by_md5", "knows files while their MD5 is named", forget_files=_forgets_by_md5)
broken("forget__removes_contents", "removes contents that no file has any more", forget_files=_forgets_contents)
broken(
    "forget__forgets_files_that_are_not_latest",
    "knows files of the latest references only",
    forget_files=_forgets_latest_only,
)


def _discards_referenced(self: Any, call: Any, sha256s: Any) -> None:
    call(sha256s)
    with self.session() as state:
        gone = {name for name, content in state.files.items() if content.sha256 in set(sha256s)}
        for name in gone:
            del state.files[name]


def _discards_references(self: Any, call: Any, sha256s: Any) -> None:
    call(sha256s)
    with self.session() as state:
        for one in [
            one
            for one in state.references
            if one.signature in state.files and state.files[one.signature].sha256 in set(sha256s)
        ]:
            del state.references[one]


def _discards_strictly(self: Any, call: Any, sha256s: Any) -> None:
    with self.session() as state:
        for sha256 in sha256s:
            if sha256 not in state.contents:
                raise UnknownContent(sha256s=frozenset({sha256}))
    call(sha256s)


def _discards_until_absent(self: Any, call: Any, sha256s: Any) -> None:
    for sha256 in sha256s:
        with self.session() as state:
            if sha256 not in state.contents:
                return
        call([sha256])


def _discards_unreferenced(self: Any, call: Any, sha256s: Any) -> None:
    with self.session() as state:
        kept = {content.sha256 for content in state.files.values()}
    call([one for one in sha256s if one not in kept])


def _discards_for_ever(self: Any, call: Any, sha256s: Any) -> None:
    call(sha256s)
    self.__dict__.setdefault("gone", set()).update(sha256s)


def _puts_none_that_is_gone(self: Any, call: Any, content: Content, chunks: Any) -> None:
    if content.sha256 not in self.__dict__.get("gone", set()):
        call(content, chunks)


change("discard", "forgets_files", "forgets the files of what it removes", _discards_referenced)
change("discard", "forgets_references", "forgets the references to what it removes", _discards_references)
change("discard", "fails_for_absent", "fails for what is not there", _discards_strictly)
change("discard", "stops_at_absent", "stops at what is not there", _discards_until_absent)
change("discard", "keeps_referenced", "keeps what a file refers to", _discards_unreferenced)
broken(
    "discard__for_ever",
    "takes no content again that was removed",
    discard=around("discard", _discards_for_ever),
    put=around("put", _puts_none_that_is_gone),
)
