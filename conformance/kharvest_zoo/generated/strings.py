"""Faults in strings: what is stored, what is compared, and what is joined to a key."""

from __future__ import annotations

import fnmatch
import html
import posixpath
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, unquote_plus

from kharvest.spi import Content, Metadata, Pod, Query, Reference, Signature
from kharvest_zoo.generated.table import Rule, broken, change
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

Text = Callable[[str], str]

_LIMITS = {"path": 4096, "namespace": 63, "pod": 253, "key": 317, "value": 4096, "holder": 512}


def _of_path(one: Reference, alter: Text) -> Reference:
    changed = alter(one.signature.path)
    path = changed if changed.startswith("/") else f"/{changed}"
    return replace(one, signature=Signature(path, one.signature.md5)) if len(path.encode()) <= 4096 else one


def _pod(one: Reference, namespace: str, name: str) -> Reference:
    return replace(one, pod=Pod(namespace, name))


_FIELDS: dict[str, Rule] = {
    "path": _of_path,
    "namespace": lambda one, alter: _pod(one, alter(one.pod.namespace)[:63], one.pod.name),
    "pod": lambda one, alter: _pod(one, one.pod.namespace, alter(one.pod.name)[:253]),
    "key": lambda one, alter: replace(
        one, metadata=Metadata({alter(key): value for key, value in one.metadata.items()})
    ),
    "value": lambda one, alter: replace(
        one, metadata=Metadata({key: alter(value) for key, value in one.metadata.items()})
    ),
}


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _without_accents(text: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one))


def _numeral(text: str) -> str:
    return str(int(text)) if text.isascii() and text.isdecimal() and len(text) < 64 else text


def _form(name: Any) -> Text:
    return lambda text: unicodedata.normalize(name, text)


_STORED: dict[str, tuple[str, Rule]] = {
    "strips": ("strips white space", str.strip),
    "strips_the_end": ("strips white space at the end", str.rstrip),
    "strips_spaces_at_the_end": ("keeps it in a column of fixed width", lambda text: text.rstrip(" ")),
    "strips_line_ends": ("strips a line end", lambda text: text.rstrip("\n")),
    "strips_slashes": ("strips a slash at the end", lambda text: text.rstrip("/")),
    "lowers": ("stores it in small letters", str.lower),
    "folds": ("stores it folded", str.casefold),
    "composes": ("stores it composed (NFC)", _form("NFC")),
    "decomposes": ("stores it decomposed (NFD)", _form("NFD")),
    "simplifies": ("stores it simplified (NFKC)", _form("NFKC")),
    "drops_high_planes": (
        "drops what three bytes of UTF-8 can't hold",
        lambda text: "".join(one for one in text if ord(one) < 0x10000),
    ),
    "marks_high_planes": (
        "puts a ? for what three bytes of UTF-8 can't hold",
        lambda text: "".join(one if ord(one) < 0x10000 else "?" for one in text),
    ),
    "keeps_latin_1": ("stores it in Latin-1", lambda text: text.encode("latin-1", "replace").decode("latin-1")),
    "keeps_ascii": ("stores it in ASCII", lambda text: text.encode("ascii", "ignore").decode()),
    "drops_control_characters": (
        "drops control characters",
        lambda text: "".join(one for one in text if unicodedata.category(one) != "Cc"),
    ),
    "drops_format_characters": (
        "drops what can't be seen",
        lambda text: "".join(one for one in text if unicodedata.category(one) != "Cf"),
    ),
    "drops_a_byte_order_mark": ("drops a byte order mark", lambda text: text.replace("\ufeff", "")),
    "unifies_line_ends": ("writes lines", lambda text: text.replace("\r\n", "\n").replace("\r", "\n")),
    "joins_lines": ("writes one line", lambda text: text.replace("\n", " ")),
    "joins_spaces": ("writes one space for several", lambda text: re.sub(" +", " ", text)),
    "expands_tabs": ("writes spaces for tabs", lambda text: text.replace("\t", " ")),
    "decodes_percent": ("decodes percent signs", lambda text: unquote(text, errors="replace").replace("\0", "")),
    "decodes_plus": ("decodes it as a form", lambda text: unquote_plus(text, errors="replace").replace("\0", "")),
    "escapes_html": ("escapes it for HTML", lambda text: html.escape(text) if len(html.escape(text)) <= 63 else text),
    "decodes_html": ("decodes HTML", html.unescape),
    "drops_backslashes": ("takes a backslash for an escape", _unescaped),
    "turns_backslashes": ("writes slashes for backslashes", lambda text: text.replace("\\", "/")),
    "doubles_quotes": ("doubles quotes", lambda text: text.replace("'", "''") if len(text) < 60 else text),
    "drops_quotes": ("drops quotes around it", lambda text: text.strip("'\"")),
    "reads_numerals": ("reads what looks like a number as a number", _numeral),
    "reads_nulls": (
        "reads null and None as nothing",
        lambda text: "" if text in {"null", "None", "NULL", "nil"} else text,
    ),
    "normalises_paths": ("resolves dots and double slashes", lambda text: posixpath.normpath(text) if text else text),
    "joins_slashes": ("writes one slash for several", lambda text: re.sub("/+", "/", text)),
    "drops_dots_at_the_end": ("drops dots at the end", lambda text: text.rstrip(".")),
    "turns_commas": ("writes semicolons for commas", lambda text: text.replace(",", ";")),
    "turns_colons": ("writes colons as underscores", lambda text: text.replace(":", "_")),
    "turns_nothing_into_a_default": ("writes `default` for nothing", lambda text: text or "default"),
}

for _field, _with in _FIELDS.items():
    _limit = _LIMITS[_field]
    _cuts = {
        f"cuts_at_{most}_bytes": (
            f"cuts it at {most} bytes",
            lambda text, most=most: text.encode()[:most].decode(errors="ignore"),
        )
        for most in (50, 64, 100, 128, 191, 255, 256, 300, 511, 1024, 2048, 4000, _limit - 1)
        if most < _limit
    } | {
        f"cuts_at_{most}_characters": (f"cuts it at {most} characters", lambda text, most=most: text[:most])
        for most in (_limit // 4 - 1, _limit // 2, _limit - 1)
    }
    for _kind, (_fault, _alter) in (_STORED | _cuts).items():
        if _field == "path" and _kind in {"turns_nothing_into_a_default", "reads_numerals", "reads_nulls"}:
            continue  # no path is empty, or looks so

        def _stores(
            self: Any,
            state: State,
            files: Mapping[Signature, Content],
            reference: Reference,
            with_: Rule = _with,
            alter: Rule = _alter,
        ) -> None:
            changed = with_(reference, alter)
            content = files.get(reference.signature, self.file_of(state, reference.signature))
            PlainStore.add(self, state, {changed.signature: content} if content else {}, changed)

        broken(f"record__{_kind}_of_{_field}", f"{_field}: {_fault}", add=_stores)

# what is compared

_COMPARED: dict[str, tuple[str, Rule]] = {
    "folding_case": ("without regard to case", str.casefold),
    "lowering_ascii": (
        "without regard to the case of ASCII letters",
        lambda text: re.sub("[A-Z]+", lambda found: found[0].lower(), text),
    ),
    "without_spaces_at_the_end": ("without spaces at the end", lambda text: text.rstrip(" ")),
    "stripped": ("without white space around", str.strip),
    "composed": ("composed (NFC)", _form("NFC")),
    "simplified": ("simplified (NFKC)", _form("NFKC")),
    "without_accents": ("without accents", _without_accents),
    "without_what_cannot_be_seen": (
        "without what can't be seen",
        lambda text: "".join(one for one in text if unicodedata.category(one) not in {"Cf", "Cc"}),
    ),
    "without_high_planes": (
        "as if all characters of four bytes were one",
        lambda text: "".join(one if ord(one) < 0x10000 else "?" for one in text),
    ),
    "without_slash_at_the_end": ("without a slash at the end", lambda text: text.rstrip("/")),
    "as_numerals": ("as numbers, if they look so", _numeral),
    "by_50_characters": ("by the first 50 characters", lambda text: text[:50]),
    "by_250_bytes": ("by the first 250 bytes", lambda text: text.encode()[:250].decode(errors="ignore")),
    "by_767_bytes": ("by the first 767 bytes", lambda text: text.encode()[:767].decode(errors="ignore")),
    "by_3072_bytes": ("by the first 3072 bytes", lambda text: text.encode()[:3072].decode(errors="ignore")),
    "but_for_the_last_byte": (
        "by all bytes but the last of a long one",
        lambda text: text[:-1] if len(text.encode()) in {63, 253, 317, 4096} else text,
    ),
}

_SHORTENED = {"by_50_characters": 50, "by_250_bytes": 250, "by_767_bytes": 767, "by_3072_bytes": 3072}


def _compared(field: str) -> dict[str, tuple[str, Rule]]:
    """The ways of comparing that make a difference in a field: in which it can be so long, or a number."""
    return {
        kind: one
        for kind, one in _COMPARED.items()
        if _SHORTENED.get(kind, 0) < _LIMITS[field] and (field, kind) != ("path", "as_numerals")
    }


def _text(query: Query, field: str) -> str | None:
    return {"path": query.path, "namespace": query.namespace, "pod": query.pod}[field]


def _text_of(one: Reference, field: str) -> str:
    return {"path": one.signature.path, "namespace": one.pod.namespace, "pod": one.pod.name}[field]


_QUERY_FIELD = {"path": "path", "namespace": "namespace", "pod": "pod"}


def _compares(field: str, same: Rule) -> Any:
    """Compares one field of a query in another way."""

    def fits(self: Any, reference: Reference, query: Query) -> bool:
        asked = _text(query, field)
        if asked is None:
            return PlainStore.fits(self, reference, query)
        free: Any = {field: None}
        return same(_text_of(reference, field), asked) and PlainStore.fits(self, reference, replace(query, **free))

    return fits


def _starts(same: Rule) -> Any:
    return lambda self, path, prefix: same(path, prefix)


def _like(text: str, pattern: str, tail: str = "") -> bool:
    escaped = "".join({"%": ".*", "_": "."}.get(one, re.escape(one)) for one in pattern)
    return re.fullmatch(escaped + tail, text, re.DOTALL) is not None


def _expression(text: str, pattern: str, whole: bool = True) -> bool:
    try:
        return (re.fullmatch if whole else re.match)(pattern, text) is not None
    except re.error:
        return text == pattern if whole else text.startswith(pattern)


def _texts(field: str) -> dict[str, tuple[str, Rule]]:
    compared = _compared(field).items()
    return {
        "as_a_pattern_of_like": ("as a pattern of LIKE", _like),
        "as_a_glob": ("as a glob", fnmatch.fnmatchcase),
        "as_a_regular_expression": ("as a regular expression", _expression),
        "in_part": ("if it is a part", lambda text, asked: asked in text),
        "at_the_start": ("if it is the start", lambda text, asked: text.startswith(asked)),
        "at_the_end": ("if it is the end", lambda text, asked: text.endswith(asked)),
        "with_escapes": ("with backslashes as escapes", lambda text, asked: text == _unescaped(asked)),
        "decoded": ("after decoding percent signs", lambda text, asked: text == unquote(asked)),
        **{
            kind: (fault, lambda text, asked, alter=alter: alter(text) == alter(asked))
            for kind, (fault, alter) in compared
        },
        **{
            f"asked_{kind}": (f"with the query {fault}", lambda text, asked, alter=alter: text == alter(asked))
            for kind, (fault, alter) in compared
        },
    }


for _field in _QUERY_FIELD:
    for _kind, (_fault, _same) in _texts(_field).items():
        broken(f"query__compares_{_field}_{_kind}", f"compares {_field} {_fault}", fits=_compares(_field, _same))

_PREFIXES: dict[str, tuple[str, Rule]] = {
    "as_a_pattern_of_like": ("as a pattern of LIKE", lambda path, prefix: _like(path, prefix, ".*")),
    "as_a_glob": ("as a glob", lambda path, prefix: fnmatch.fnmatchcase(path, prefix + "*")),
    "as_a_regular_expression": ("as a regular expression", lambda path, prefix: _expression(path, prefix, whole=False)),
    "in_part": ("anywhere", lambda path, prefix: prefix in path),
    "at_the_end": ("at the end", lambda path, prefix: path.endswith(prefix)),
    "as_a_folder": ("as a folder", lambda path, prefix: path == prefix or path.startswith(prefix.rstrip("/") + "/")),
    "as_a_folder_that_is_not_itself": ("as a folder, without itself", lambda path, prefix: path.startswith(prefix.rstrip("/") + "/")),
    "without_the_path_itself": ("but for the path that is the prefix", lambda path, prefix: path.startswith(prefix) and path != prefix),
    "within_one_folder": ("within one folder", lambda path, prefix: path.startswith(prefix) and "/" not in path[len(prefix) :]),
    "up_to_z": ("up to the prefix followed by z", lambda path, prefix: prefix <= path < prefix + "z"),
    "up_to_a_tilde": ("up to the prefix followed by a tilde", lambda path, prefix: prefix <= path < prefix + "~"),
    "up_to_ffff": ("up to the prefix followed by U+FFFF", lambda path, prefix: prefix <= path < prefix + "\uffff"),
    "up_to_10ffff": ("up to the prefix followed by U+10FFFF", lambda path, prefix: prefix <= path < prefix + "\U0010ffff"),
    "up_to_the_next": ("up to the prefix with its last character plus one, which the last of all has not", lambda path, prefix: not prefix or (ord(prefix[-1]) < 0x10FFFF and prefix <= path < prefix[:-1] + chr(ord(prefix[-1]) + 1))),
    "up_to_and_with_the_next": ("up to and with the prefix with its last character plus one", lambda path, prefix: not prefix or prefix <= path <= prefix[:-1] + chr(min(ord(prefix[-1]) + 1, 0x10FFFF)) or path.startswith(prefix)),
    "from_there_on": ("from there on", lambda path, prefix: path >= prefix),
    "by_250_bytes": ("by the first 250 bytes", lambda path, prefix: path.encode().startswith(prefix.encode()[:250])),
    "by_767_bytes": ("by the first 767 bytes", lambda path, prefix: path.encode().startswith(prefix.encode()[:767])),
    "if_it_is_short": ("if it is shorter than 256", lambda path, prefix: len(prefix) < 256 and path.startswith(prefix)),
    "but_for_the_last_character": ("but for its last character", lambda path, prefix: path.startswith(prefix[: max(1, len(prefix) - 1)])),
    **{
        f"{kind}": (fault, lambda path, prefix, alter=alter: alter(path).startswith(alter(prefix)))
        for kind, (fault, alter) in _compared("path").items()
        if not kind.startswith(("by_", "but_"))
    },
    **{
        f"asked_{kind}": (f"with the prefix {fault}", lambda path, prefix, alter=alter: path.startswith(alter(prefix)))
        for kind, (fault, alter) in _compared("path").items()
        if not kind.startswith(("by_", "but_"))
    },
}  # fmt: skip
for _kind, (_fault, _same) in _PREFIXES.items():
    broken(f"query__compares_path_prefix_{_kind}", f"compares the prefix {_fault}", starts=_starts(_same))


def _pairs(test: Rule) -> Any:
    return lambda self, reference, query: test(dict(reference.metadata.items()), dict(query.metadata.items()))


def _all_of(wanted: dict[str, str], has: Rule) -> bool:
    return all(has(key, value) for key, value in wanted.items())


_PAIRS: dict[str, tuple[str, Rule]] = {
    "by_any": ("if any pair is there", lambda has, wanted: not wanted or bool(has.items() & wanted.items())),
    "by_all": ("if they are all its pairs", lambda has, wanted: not wanted or has == wanted),
    "by_keys": ("by keys", lambda has, wanted: wanted.keys() <= has.keys()),
    "by_values": ("by values", lambda has, wanted: set(wanted.values()) <= set(has.values())),
    "by_keys_and_values_apart": ("by keys and values, of different pairs", lambda has, wanted: wanted.keys() <= has.keys() and set(wanted.values()) <= set(has.values())),
    "with_absent_as_empty": ("with what is absent as empty", lambda has, wanted: _all_of(wanted, lambda key, value: has.get(key, "") == value)),
    "with_empty_as_any": ("with an empty value as any", lambda has, wanted: _all_of(wanted, lambda key, value: key in has and (not value or has[key] == value))),
    "with_empty_as_absent": ("with an empty value as absent", lambda has, wanted: _all_of(wanted, lambda key, value: bool(value) and has.get(key) == value)),
    "in_part": ("by parts of values", lambda has, wanted: _all_of(wanted, lambda key, value: value in has.get(key, "") if key in has else False)),
    "at_the_start": ("by the start of values", lambda has, wanted: _all_of(wanted, lambda key, value: key in has and has[key].startswith(value))),
    "by_like": ("with values as patterns of LIKE", lambda has, wanted: _all_of(wanted, lambda key, value: key in has and _like(has[key], value))),
    "by_a_path_of_dots": ("with dots in keys as steps", lambda has, wanted: _all_of(wanted, lambda key, value: "." not in key and has.get(key) == value)),
    "without_dollars": ("without keys that begin with a dollar", lambda has, wanted: _all_of(wanted, lambda key, value: not key.startswith("$") and has.get(key) == value)),
    "without_quotes": ("without quotes in keys", lambda has, wanted: _all_of(wanted, lambda key, value: '"' not in key and has.get(key) == value)),
    "without_empty_keys": ("without empty keys", lambda has, wanted: _all_of(wanted, lambda key, value: bool(key) and has.get(key) == value)),
    "by_eight": ("by eight pairs at most", lambda has, wanted: dict(list(wanted.items())[:8]).items() <= has.items()),
    "of_sixteen": ("among the first sixteen", lambda has, wanted: wanted.items() <= dict(list(has.items())[:16]).items()),
    "of_63": ("among the first 63", lambda has, wanted: wanted.items() <= dict(list(has.items())[:63]).items()),
    "by_63": ("by 63 pairs at most", lambda has, wanted: dict(list(wanted.items())[:63]).items() <= has.items()),
    **{
        f"with_{what}_{kind}": (
            f"with {what} {fault}",
            lambda has, wanted, alter=alter, keys=what == "keys": (
                {alter(key): value for key, value in wanted.items()}.items() <= {alter(key): value for key, value in has.items()}.items()
                if keys
                else {key: alter(value) for key, value in wanted.items()}.items() <= {key: alter(value) for key, value in has.items()}.items()
            ),
        )
        for what in ("keys", "values")
        for kind, (fault, alter) in _compared(what[:-1]).items()
    },
    **{
        f"joined_by_{name}": (
            f"by keys and values joined with {separator!r}",
            lambda has, wanted, separator=separator: {separator.join(pair) for pair in wanted.items()} <= {separator.join(pair) for pair in has.items()},
        )
        for name, separator in {"equals": "=", "colon": ":", "nothing": "", "slash": "/", "bar": "|", "comma": ",", "line": "\n", "tab": "\t", "space": " ", "unit": "\x1f", "dot": ".", "minus": "-", "hash": "#"}.items()
    },
}  # fmt: skip
for _kind, (_fault, _test) in _PAIRS.items():
    broken(f"query__compares_metadata_{_kind}", f"compares metadata {_fault}", tagged=_pairs(_test))

# what is one

_SEPARATORS = {"slash": "/", "colon": ":", "bar": "|", "comma": ",", "line": "\n", "nothing": "", "space": " ", "minus": "-", "dot": ".", "unit": "\x1f", "hash": "#", "underscore": "_"}  # fmt: skip
_TIMELINES: dict[str, tuple[str, Rule]] = {
    **{
        f"{field}_{kind}": (
            f"compares {field} {fault}",
            lambda one, alter=alter, with_=_FIELDS[field]: with_(one, alter).timeline,
        )
        for field in ("path", "namespace", "pod")
        for kind, (fault, alter) in _compared(field).items()
    },
    **{
        f"pod_joined_by_{name}": (
            f"joins namespace and name with {separator!r}",
            lambda one, separator=separator: (separator.join((one.pod.namespace, one.pod.name)), one.signature.path),
        )
        for name, separator in _SEPARATORS.items()
    },
    **{
        f"joined_by_{name}": (
            f"joins namespace, name and path with {separator!r}",
            lambda one, separator=separator: separator.join((one.pod.namespace, one.pod.name, one.signature.path)),
        )
        for name, separator in _SEPARATORS.items()
    },
    "without_namespace": ("lacks the namespace", lambda one: (one.pod.name, one.signature.path)),
    "without_name": ("lacks the pod's name", lambda one: (one.pod.namespace, one.signature.path)),
    "without_path": ("lacks the path", lambda one: one.pod),
    "with_md5": ("has the MD5 too", lambda one: (one.pod, one.signature)),
    "with_metadata": ("has the metadata too", lambda one: (one.timeline, one.metadata)),
}
"""What a store may take for a timeline."""

for _kind, (_fault, _of) in _TIMELINES.items():

    def _last_time(self: Any, state: State, reference: Reference, of: Any = _of) -> int:
        asked = of(reference)
        return max((one.observed_at_ns for one in state.references if of(one) == asked), default=-1)

    def _latest(self: Any, ranked: list[Reference], of: Any = _of) -> list[Reference]:
        newest = {of(reference): reference for reference in ranked}
        return [reference for reference in ranked if newest[of(reference)] == reference]

    def _newest(self: Any, call: Any, timelines: Any, of: Any = _of) -> Any:
        with self.session() as state:
            found = {of(one): one for one in self.matching(state, Query())}
        stand_ins = {
            timeline: of(Reference(Signature(timeline.path, bytes(16)), timeline.pod, Metadata(), 0))
            for timeline in timelines
        }
        return {timeline: found[key] for timeline, key in stand_ins.items() if key in found}

    broken(f"append__timeline_{_kind}", f"finds the newest of a timeline by a key that {_fault}", last_time=_last_time)
    broken(f"latest__timeline_{_kind}", f"finds the latest by a key that {_fault}", latest=_latest)
    change("newest", f"timeline_{_kind}", f"keeps the newest of each timeline by a key that {_fault}", _newest)


def _identity(kind: str, fault: str, key: Rule) -> None:
    """A store that takes different references for one."""

    def add(self: Any, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        seen = self.__dict__.setdefault("seen", {})
        made = key(reference)
        if seen.setdefault(made, reference) != reference and seen[made] in state.references:
            return
        seen[made] = reference
        PlainStore.add(self, state, files, reference)

    broken(f"record__one_if_{kind}", f"takes two references for one if {fault}", add=add)


for _field, _with in _FIELDS.items():
    for _kind, (_fault, _alter) in _compared(_field).items():
        _identity(
            f"{_field}_{_kind}",
            f"{_field} is the same {_fault}",
            lambda one, alter=_alter, with_=_with: with_(one, alter),
        )
for _name, _separator in _SEPARATORS.items():
    _identity(
        f"pod_joined_by_{_name}",
        f"namespace and name are the same joined with {_separator!r}",
        lambda one, separator=_separator: (
            separator.join((one.pod.namespace, one.pod.name)),
            one.signature,
            one.metadata,
            one.observed_at_ns,
        ),
    )
    _identity(
        f"metadata_joined_by_{_name}",
        f"metadata is the same joined with {_separator!r}",
        lambda one, separator=_separator: (
            one.pod,
            one.signature,
            separator.join(part for pair in one.metadata.items() for part in pair),
            one.observed_at_ns,
        ),
    )
for _kind, _fault, _key in (
    ("all_but_metadata", "all but metadata is the same", lambda one: (one.signature, one.pod, one.observed_at_ns)),
    ("all_but_time", "all but the time is the same", lambda one: (one.signature, one.pod, one.metadata)),
    ("all_but_md5", "all but the MD5 is the same", lambda one: (one.timeline, one.metadata, one.observed_at_ns)),
    (
        "all_but_path",
        "all but the path is the same",
        lambda one: (one.signature.md5, one.pod, one.metadata, one.observed_at_ns),
    ),
    ("all_but_pod", "all but the pod is the same", lambda one: (one.signature, one.metadata, one.observed_at_ns)),
    (
        "all_but_namespace",
        "all but the namespace is the same",
        lambda one: (one.signature, one.pod.name, one.metadata, one.observed_at_ns),
    ),
    (
        "metadata_keys",
        "all is the same but values of metadata",
        lambda one: (one.signature, one.pod, tuple(one.metadata), one.observed_at_ns),
    ),
    (
        "metadata_values",
        "all is the same but keys of metadata",
        lambda one: (one.signature, one.pod, tuple(one.metadata.values()), one.observed_at_ns),
    ),
    (
        "metadata_count",
        "all is the same but metadata of one length",
        lambda one: (one.signature, one.pod, len(one.metadata), one.observed_at_ns),
    ),
    (
        "microsecond",
        "the time is the same to a microsecond",
        lambda one: (one.timeline, one.signature, one.metadata, one.observed_at_ns // 1000),
    ),
    (
        "second",
        "the time is the same to a second",
        lambda one: (one.timeline, one.signature, one.metadata, one.observed_at_ns // 10**9),
    ),
    (
        "float",
        "the time is the same as a float",
        lambda one: (one.timeline, one.signature, one.metadata, float(one.observed_at_ns)),
    ),
):
    _identity(_kind, _fault, _key)

# pods that are counted, files that are grouped

for _kind, _fault, _pod_key in (
    ("by_name", "by name", lambda pod: pod.name),
    ("by_namespace", "by namespace", lambda pod: pod.namespace),
    *(
        (
            f"joined_by_{name}",
            f"by namespace and name joined with {separator!r}",
            lambda pod, separator=separator: separator.join((pod.namespace, pod.name)),
        )
        for name, separator in _SEPARATORS.items()
    ),
    *(
        (f"{kind}", fault, lambda pod, alter=alter: (alter(pod.namespace), alter(pod.name)))
        for kind, (fault, alter) in _compared("pod").items()
    ),
):

    def _summary(
        self: Any, state: State, signature: Signature, references: list[Reference], key: Any = _pod_key
    ) -> Any:
        made = PlainStore.summary(self, state, signature, references)
        return replace(made, pods=len({key(one.pod) for one in references}))

    broken(f"files__counts_pods_{_kind}", f"counts pods {_fault}", summary=_summary)


def _counts_references(self: Any, state: State, signature: Signature, references: Sequence[Reference]) -> Any:
    return replace(PlainStore.summary(self, state, signature, list(references)), pods=len(references))


broken("files__counts_references", "counts references", summary=_counts_references)

for _kind, (_fault, _alter) in _compared("path").items():

    def _file_of(self: Any, state: State, signature: Signature, alter: Text = _alter) -> Content | None:
        exact = state.files.get(signature)
        if exact is not None:
            return exact
        asked = (alter(signature.path), signature.md5)
        return next((content for one, content in state.files.items() if (alter(one.path), one.md5) == asked), None)

    broken(f"known__compares_path_{_kind}", f"knows signatures by their path {_fault}", file_of=_file_of)

    def _summarise(self: Any, state: State, references: list[Reference], alter: Text = _alter) -> Any:
        groups: dict[Any, list[Reference]] = {}
        for one in references:
            if not one.signature.is_removal:
                groups.setdefault((alter(one.signature.path), one.signature.md5), []).append(one)
        made = [self.summary(state, min(one.signature for one in group), group) for group in groups.values()]
        return sorted(made, key=lambda one: one.signature)

    broken(f"files__groups_path_{_kind}", f"groups files by their path {_fault}", summarise=_summarise)

for _kind, _fault, _order in (
    ("folding_case", "without regard to case", lambda one: (one.path.casefold(), one.path, one.md5)),
    ("by_utf_16", "by UTF-16", lambda one: (one.path.encode("utf-16-be"), one.md5)),
    ("by_depth", "by folders", lambda one: (one.path.split("/"), one.md5)),
    ("by_length", "by length", lambda one: (len(one.path), one.path, one.md5)),
    ("by_md5_backwards", "by path, the last MD5 first", lambda one: (one.path, bytes(255 - byte for byte in one.md5))),
    (
        "by_signed_md5",
        "by path, and MD5 as signed bytes",
        lambda one: (one.path, [byte - 256 if byte > 127 else byte for byte in one.md5]),
    ),
    ("by_md5", "by MD5", lambda one: (one.md5, one.path)),
    ("by_joined_key", "by path and MD5 joined", lambda one: one.path + "/" + one.md5.hex()),
    ("without_accents", "without accents", lambda one: (_without_accents(one.path), one.path, one.md5)),
    ("by_md5_from_its_end", "by path, and MD5 from its end", lambda one: (one.path, one.md5[::-1])),
):

    def _sorted(self: Any, state: State, references: list[Reference], order: Any = _order) -> Any:
        return sorted(PlainStore.summarise(self, state, references), key=lambda one: order(one.signature))

    broken(f"files__sorts_{_kind}", f"sorts files {_fault}", summarise=_sorted)

# holders of claims

for _kind, (_fault, _alter) in (
    _compared("holder")
    | {
        "by_255_bytes": ("by the first 255 bytes", lambda text: text.encode()[:255].decode(errors="ignore")),
        "by_511_bytes": ("by the first 511 bytes", lambda text: text.encode()[:511].decode(errors="ignore")),
        "in_latin_1": ("in Latin-1", lambda text: text.encode("latin-1", "replace").decode("latin-1")),
        "up_to_a_colon": ("up to a colon", lambda text: text.split(":")[0]),
        "up_to_a_slash": ("up to a slash", lambda text: text.split("/")[0]),
    }
).items():
    for _method, _place in (("claim", 1), ("release", 1)):

        def _holder(self: Any, call: Any, *given: Any, alter: Text = _alter) -> Any:
            with self.session() as state:
                owners = {owner for owner, _ in state.leases.values()}
                same = next((owner for owner in sorted(owners) if alter(owner) == alter(given[1])), given[1])
                return call(given[0], same if given[1] not in owners else given[1], *given[2:])

        change(_method, f"compares_holder_{_kind}", f"compares holders {_fault}", _holder)
