"""Ask a health server."""

import urllib.request
from urllib.error import HTTPError


def http_get(port: int, path: str) -> tuple[int, str]:
    """Status and text of a path; 0 while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""
