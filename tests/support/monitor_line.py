"""A line of MONITOR, as the server prints it."""

_NAMED = {0x5C: b"\\\\", 0x22: b'\\"', 0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x07: b"\\a", 0x08: b"\\b"}


def monitor_line(*words: bytes, client: bytes = b"127.0.0.1:40000", at: float = 1.5) -> bytes:
    """The line of a command of this client, or of a script where that is `lua`, `at` seconds since 1970."""
    return b"+%.6f [0 %s] " % (at, client) + b" ".join(map(_escaped, words))


def _escaped(word: bytes) -> bytes:
    """What the server's `sdscatrepr` makes of a word."""
    shown = (_NAMED.get(byte) or (bytes([byte]) if 0x20 <= byte < 0x7F else b"\\x%02x" % byte) for byte in word)
    return b'"' + b"".join(shown) + b'"'
