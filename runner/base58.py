"""Base58, the alphabet in which Solana writes keys and instruction data."""

from __future__ import annotations

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
VALUES = {letter: value for value, letter in enumerate(ALPHABET)}
# The conversion is quadratic; a Solana transaction carries at most 1232 bytes.
MAX_TEXT = 2048


def encode(raw: bytes) -> str:
    number, text = int.from_bytes(raw), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def decode(text: str) -> bytes:
    """Raises ValueError where a letter is not of the alphabet, or the text is longer than a transaction could be."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"base58 of {len(text)} letters is longer than {MAX_TEXT}")
    number = 0
    for letter in text:
        if letter not in VALUES:
            raise ValueError(f"{letter!r} is no base58 letter")
        number = number * 58 + VALUES[letter]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)


def is_address(text: str) -> bool:
    """Whether the text is a Solana address: 32 bytes in base58."""
    try:
        return 32 <= len(text) <= 44 and len(decode(text)) == 32
    except ValueError:
        return False
