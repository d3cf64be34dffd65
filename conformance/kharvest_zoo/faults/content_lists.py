"""Faults in looking up, listing and discarding contents."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import islice

from kharvest.spi import Content, InvalidValue
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore


class _ByAnotherKey(PlainStore):
    """Finds contents by something made of their digests."""

    key: Callable[[bytes], bytes]

    def found(self, sha256: bytes) -> bytes:
        """The digest that is taken for this one."""
        wanted = type(self).key(sha256)
        return next((one for one in self.state.contents if type(self).key(one) == wanted), sha256)

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        found = super().present([self.found(sha256) for sha256 in sha256s])
        return {sha256: found[self.found(sha256)] for sha256 in sha256s if self.found(sha256) in found}


@caught_by("test_digests_are_exact_whatever_bytes_they_have")
class PadsDigests(_ByAnotherKey):
    """Has a column whose comparison takes no notice of blanks and zeros at the end."""

    key = staticmethod(lambda sha256: sha256.rstrip(b"\0 \t\n"))


@caught_by("test_digests_are_exact_whatever_bytes_they_have")
class FoldsDigests(_ByAnotherKey):
    """Has a column of characters whose collation takes no notice of case."""

    key = staticmethod(bytes.lower)


@caught_by("test_digests_are_exact_whatever_bytes_they_have")
class IndexesMostOfADigest(_ByAnotherKey):
    """Has an index on the first 31 bytes, which it takes for enough."""

    key = staticmethod(lambda sha256: sha256[:31])


@caught_by("test_digests_are_exact_whatever_bytes_they_have")
class ReadsDigestsAsNumbers(PlainStore):
    """Keeps MD5s as hexadecimal numbers, which have no zeros in front."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        for one in super().contents(after):
            digits = f"{int.from_bytes(one.md5):x}"
            yield replace(one, md5=bytes.fromhex(digits.ljust(32, "0")))


@caught_by("test_digests_are_exact_whatever_bytes_they_have")
class QuotesDigests(PlainStore):
    """Doubles quotes in what it writes into its statements, and takes nothing back."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        return {sha256: one for sha256, one in super().present(sha256s).items() if b"'" not in sha256}


@caught_by("test_digests_are_exact_whatever_bytes_they_have")
class StripsMd5s(PlainStore):
    """Strips what it reads from a CHAR column, and fills it up again."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        found = super().present(sha256s)
        return {sha256: replace(one, md5=one.md5.rstrip(b" \n").ljust(16, b"\0")) for sha256, one in found.items()}


@caught_by("test_digests_are_exact_whatever_bytes_they_have")
class DiscardsByPrefix(PlainStore):
    """Discards whatever begins with the first bytes of a digest, which name its directory."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        starts = {sha256[:31] for sha256 in sha256s}
        super().discard([sha256 for sha256 in self.state.contents if sha256[:31] in starts])


@caught_by("test_contents_of_one_md5_and_size_are_two")
class OneContentForEachMd5(PlainStore):
    """Has a unique index on the MD5."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        if not any(one.md5 == content.md5 for one, _kept in self.state.contents.values()):
            super().put(content, chunks)


@caught_by("test_contents_of_one_md5_and_size_are_two")
class OneBodyForEachMd5(PlainStore):
    """Keeps bodies by MD5, which is what files are known by."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        content = self.present([sha256]).get(sha256)
        twins = [one.sha256 for one, _kept in self.state.contents.values() if content and one.md5 == content.md5]
        return super().read(min(twins, default=sha256), offset)


@caught_by("test_contents_of_one_md5_and_size_are_two")
class DiscardsByMd5(PlainStore):
    """Discards all that has the MD5 of what is discarded."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        md5s = {one.md5 for one in self.present(sha256s).values()}
        super().discard([sha256 for sha256, (one, _kept) in self.state.contents.items() if one.md5 in md5s])


@caught_by("test_contents_starts_after_bytes_of_any_length")
class FillsUpWhereItStarts(PlainStore):
    """Binds `after` to a column of 32 bytes, which fills it up with zeros: a digest that ends with them equals it."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return super().contents(after.ljust(32, b"\0"))


@caught_by("test_contents_starts_after_bytes_of_any_length")
class IgnoresOtherLengths(PlainStore):
    """Starts at the beginning when `after` is no digest."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return super().contents(after if len(after) == 32 else b"")


@caught_by("test_contents_starts_after_bytes_of_any_length")
class ComparesLengthsFirst(PlainStore):
    """Has a database that orders binary values by their length, and then by their bytes."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return (one for one in super().contents() if (len(one.sha256), one.sha256) > (len(after), after))


@caught_by("test_contents_starts_after_bytes_of_any_length")
class RefusesOtherLengths(PlainStore):
    """Checks that `after` is a digest."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        if len(after) not in (0, 32):
            raise InvalidValue("after", f"{len(after)} bytes", "give a digest")
        return super().contents(after)


@caught_by("test_contents_starts_after_bytes_of_any_length")
class SkipsWhatBeginsSo(PlainStore):
    """Takes `after` for the name of a directory, and starts behind it."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return (one for one in super().contents(after) if not after or not one.sha256.startswith(after))


@caught_by("test_contents_starts_after_bytes_of_any_length")
class ComparesWithoutZeros(PlainStore):
    """Has a database that compares binary values as strings that are padded with blanks."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return (one for one in super().contents() if one.sha256.ljust(64, b" ") > after.ljust(64, b" "))


@caught_by("test_many_contents_are_listed_looked_up_and_discarded")
class ListsOneThousand(PlainStore):
    """Fetches one page."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return islice(super().contents(after), 1000)


@caught_by("test_many_contents_are_listed_looked_up_and_discarded")
class RepeatsTheLastOfAPage(PlainStore):
    """Starts each page with the last content of the one before."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        while page := list(islice(super().contents(after), 500)):
            yield from page
            if len(page) < 500:
                return
            after = page[-2].sha256


@caught_by("test_many_contents_are_listed_looked_up_and_discarded")
class ListsPagesByOffset(PlainStore):
    """Counts what it has given, and fetches the next page behind as many."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        offset = 0
        while page := list(islice(super().contents(after), offset, offset + 400)):
            yield from page
            offset += 400


@caught_by("test_many_contents_are_listed_looked_up_and_discarded")
class FindsOneThousand(PlainStore):
    """Has a limit on rows for every statement."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        return dict(islice(super().present(sha256s).items(), 1000))


@caught_by("test_many_contents_are_listed_looked_up_and_discarded")
class AsksForWholeSlices(PlainStore):
    """Asks for a thousand digests at a time, and not for the rest."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        if len(sha256s) < 1000:
            return super().present(sha256s)
        return super().present(list(sha256s)[: len(sha256s) // 1000 * 1000 - 1])


@caught_by("test_many_contents_are_listed_looked_up_and_discarded")
class DiscardsOneThousand(PlainStore):
    """Cuts a list that is too long for a statement, and forgets the rest."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(list(sha256s)[:1000])


@caught_by("test_many_contents_are_listed_looked_up_and_discarded")
class ListsBySnapshotOfDirectories(PlainStore):
    """Lists the directory of each first byte when it comes to it, but for the last."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        for first in range(255):
            yield from (one for one in super().contents(after) if one.sha256[0] == first)


@caught_by("test_a_discard_takes_effect_at_one_moment")
class DiscardsOneByOne(PlainStore):
    """Has no statement for several."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        for sha256 in sha256s:
            super().discard([sha256])


@caught_by("test_a_discard_takes_effect_at_one_moment")
class DiscardsInSlices(FiledStore):
    """Keeps transactions short."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        left = iter(set(sha256s))
        while some := list(islice(left, 64)):
            super().discard(some)


@caught_by("test_a_discard_takes_effect_at_one_moment")
class LooksUpOneByOne(PlainStore):
    """Asks for each digest by itself, so that an answer shows several moments."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        found: dict[bytes, Content] = {}
        for sha256 in sha256s:
            found |= super().present([sha256])
        return found


@caught_by("test_a_discard_takes_effect_at_one_moment")
class LooksUpInSlices(FiledStore):
    """Asks for so many digests in one statement, and for the others in the next."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        found: dict[bytes, Content] = {}
        left = iter(sha256s)
        while some := list(islice(left, 8)):
            found |= super().present(some)
        return found


@caught_by("test_sizes_and_offsets_beyond_32_bits_are_exact")
class SizesIn32Bits(PlainStore):
    """Has an INTEGER column that wraps."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        super().put(replace(content, size=content.size & 0xFFFFFFFF), chunks)


@caught_by("test_sizes_and_offsets_beyond_32_bits_are_exact")
class SizesInSigned32Bits(PlainStore):
    """Has an INTEGER column that stops at its largest number."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return (replace(one, size=min(one.size, 2**31 - 1)) for one in super().contents(after))


@caught_by("test_sizes_and_offsets_beyond_32_bits_are_exact")
class OffsetsIn32Bits(PlainStore):
    """Passes offsets to a library in 32 bits."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        return super().read(sha256, offset & 0xFFFFFFFF)
