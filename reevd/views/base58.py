"""Base58, the alphabet in which Solana writes keys and instruction data. Pure."""

from __future__ import annotations

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
VALUES = {letter: value for value, letter in enumerate(ALPHABET)}
# The conversion is quadratic; a transaction of Solana holds at most 1,232 bytes.
MOST_LETTERS = 2_048


def decode(text: str) -> bytes | None:
    """None where the text is no base58, or longer than a transaction could carry."""
    if len(text) > MOST_LETTERS:
        return None
    number = 0
    for letter in text:
        value = VALUES.get(letter)
        if value is None:
            return None
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)


def encode(raw: bytes) -> str:
    number, letters = int.from_bytes(raw), ""
    while number:
        number, digit = divmod(number, 58)
        letters = ALPHABET[digit] + letters
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + letters
