"""Bounds what a message may be made of before it is decoded: a few bytes can stand for very many objects.

An empty message within a repeated field takes two bytes on the wire and some hundred in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kharvest.spi import InvalidValue

# https://protobuf.dev/programming-guides/encoding/#structure
_LONGEST_SHIFT = 70  # a varint has up to ten bytes of seven bits
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5

Shape: TypeAlias = "dict[int, Shape]"
"""The fields of a message type that hold messages, by number, with the shapes of these."""


def shape_of(descriptor: Descriptor | None) -> Shape:
    """The shape of a message type. Types that contain themselves are not used on this wire."""
    return {
        field.number: shape_of(field.message_type)
        for field in (descriptor.fields if descriptor is not None else ())
        if field.type == FieldDescriptor.TYPE_MESSAGE
    }


def check_fields(data: bytes, shape: Shape, most: int) -> None:
    """See that an encoded message, and the messages that contain others within it, have at most `most` fields.

    Messages without messages in them are not looked into: they are one object, whatever their bytes.

    Raises:
        InvalidValue: there are more, or the bytes are not an encoded message.
    """
    try:
        left = _count(memoryview(data), shape, most)
    except (IndexError, ValueError):
        raise undecodable() from None
    if left < 0:
        raise InvalidValue("message", f"it has more than {most} fields", "split the batch (see GetLimits)")


def delimited(data: bytes, most: int) -> Iterator[tuple[int, memoryview]]:
    """The fields of an encoded message that hold bytes, text or messages, with their numbers, without copies.

    Raises:
        InvalidValue: there are more than `most` fields, or the bytes are not an encoded message.
    """
    view, position, fields = memoryview(data), 0, 0
    try:
        while position < len(view):
            tag, position = _varint(view, position)
            fields += 1
            if fields > most:
                raise InvalidValue("message", f"it has more than {most} fields", "send what the protocol describes")
            start, position = _skip(view, position, tag & 7)
            if tag & 7 == _DELIMITED:
                yield tag >> 3, view[start:position]
    except (IndexError, ValueError) as error:
        if isinstance(error, InvalidValue):
            raise
        raise undecodable() from None


def undecodable() -> InvalidValue:
    """What is told of bytes that are not an encoded message."""
    return InvalidValue("message", "it cannot be decoded", "send what the protocol describes")


def _count(data: memoryview, shape: Shape, left: int) -> int:
    """How many of `left` are left; negative as soon as there are too many."""
    position = 0
    while position < len(data) and left >= 0:
        tag, position = _varint(data, position)
        left -= 1
        start, position = _skip(data, position, tag & 7)
        inner = shape.get(tag >> 3)
        if inner and tag & 7 == _DELIMITED:
            left = _count(data[start:position], inner, left)
    return left


def _skip(data: memoryview, position: int, kind: int) -> tuple[int, int]:
    """Where a field's value starts and ends."""
    if kind == _DELIMITED:
        length, position = _varint(data, position)
        end = position + length
    elif kind == _VARINT:
        _value, end = _varint(data, position)
    elif kind in {_FIXED64, _FIXED32}:
        end = position + (8 if kind == _FIXED64 else 4)
    else:
        raise ValueError(kind)
    if end > len(data):
        raise IndexError
    return position, end


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    byte = data[position]
    position += 1
    value = byte & 0x7F
    shift = 7
    while byte & 0x80:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > _LONGEST_SHIFT:
            raise ValueError
    return value, position
