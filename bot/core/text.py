"""Outside text made harmless and readable: for Slack, for channel names, for logs.

What alerts, log lines and dead letters say is written by others. Whatever leaves the building with their
words in it goes through `plain`, `inline` or `code` once, at the edge; nothing here is applied twice.
Promise: outside text can never ping a channel, break a message or inject markup.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

ELLIPSIS = "…"
CHANNEL_NAME_MAX = 80  # Slack: conversations.create
URL_MAX = 2000

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Format characters (category Cf) steer direction and joining unseen; these few are Arabic, Syriac and
# Kaithi signs that are read, and stay.
_VISIBLE_FORMATS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th", "ð": "d"})
# Slack's mrkdwn marks, by look-alikes that it does not read: a name stays readable and starts no formatting.
# The underscore stays: names are full of it, and inside a word it means nothing to Slack.
_MARKS = str.maketrans({"*": "∗", "~": "∼", "`": "'"})
_MASK = "[masked]"


def escape(text: str) -> str:
    """`text` with Slack's three control characters as entities; never apply it twice."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def clean(text: str) -> str:
    """`text` in NFC without bidi, zero-width and control characters; newline and tab stay.

    Every sort of line end becomes a newline. Lone surrogates, which no database stores, become U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    lines = _LINE_ENDS.sub("\n", text)
    return unicodedata.normalize("NFC", "".join(map(_keep, lines)))


def _keep(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cs":
        return "\ufffd"
    if category == "Cc":
        return char if char in "\n\t" else ""
    if category == "Cf":
        return char if char in _VISIBLE_FORMATS else ""
    return char


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of `text`: cut on a word's border where one is near, with an ellipsis."""
    return _cut(text, limit, len)


def plain(text: str, limit: int) -> str:
    """Outside text for a Slack text field: cleaned, cut, escaped. `limit` counts the escaped characters.

    Mentions and links in it are shown as text. Line breaks and `*_~` formatting stay; see `inline`.
    """
    return escape(_cut(clean(text), limit, _escaped_length))


def inline(text: str, limit: int) -> str:
    """As `plain`, on one line and with mrkdwn's marks replaced by look-alikes: for a name in a sentence."""
    line = " ".join(clean(text).split()).translate(_MARKS)
    return escape(_cut(line, limit, _escaped_length))


def code(text: str, limit: int) -> str:
    """Outside text for the inside of a code fence: as `plain`, and it cannot close the fence."""
    inside = re.sub("`{3,}", lambda run: "'" * len(run[0]), clean(text)).strip("\n")
    # A backtick at the rim would make the fence a run of four.
    inside = re.sub("^`+|`+$", lambda run: "'" * len(run[0]), inside)
    return escape(_cut(inside, limit, _escaped_length))


def fence(text: str, limit: int) -> str:
    """A whole code fence of at most `limit` characters (at least 9) around outside text."""
    return f"```\n{code(text, max(limit - 8, 0))}\n```"


def _escaped_length(text: str) -> int:
    return len(text) + 4 * text.count("&") + 3 * (text.count("<") + text.count(">"))


def _cut(text: str, limit: int, length: Callable[[str], int]) -> str:
    """The longest start of `text` that, with an ellipsis, is at most `limit` long as `length` measures."""
    # No measured length is below the number of characters, so a huge text is never measured whole.
    if len(text) <= limit and length(text) <= limit:
        return text
    if limit < 1:
        return ""
    low, high = 0, min(limit - 1, len(text))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if length(text[:middle]) < limit else (low, middle - 1)
    return text[: _border(text, low)].rstrip() + ELLIPSIS


def _border(text: str, end: int) -> int:
    """`end`, moved back to a space among the last third before it, else off a combining sign."""
    if end < len(text) and not text[end].isspace():
        for index in range(end - 1, end * 2 // 3, -1):
            if text[index].isspace():
                return index
        while end > 0 and unicodedata.combining(text[end]):
            end -= 1
    return end


def slug(text: str, limit: int) -> str:
    """`text` as a part of a channel name: at most `limit` of a-z, 0-9, - and _; "alert" if none are left."""
    folded = unicodedata.normalize("NFKD", clean(text[:2000]).casefold().translate(_LETTERS))
    joined = "".join(char for char in folded if not unicodedata.combining(char))
    words = re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9_-]+", "-", joined)).strip("-_")
    if len(words) > limit:
        border = words.rfind("-", limit // 2, limit + 1)
        words = words[: border if border > 0 else limit].strip("-_")
    return words or "alert"[: max(limit, 0)]


def channel_name(number: int, title: str, suffix: int | None = None) -> str:
    """`inc-0007-<slug of title>`, with `-<suffix>` where the name is taken; at most 80 characters."""
    head, tail = f"inc-{number:04d}-", f"-{suffix}" if suffix is not None else ""
    return head + slug(title, CHANNEL_NAME_MAX - len(head) - len(tail)) + tail


def checked_url(url: str) -> str | None:
    """`url` percent-encoded where needed, or None if it is not one to put before people.

    Allowed: https anywhere, http on loopback; no user names in it, no control characters, at most
    2000 characters.
    """
    url = url.strip()
    if not url or len(url) > URL_MAX or clean(url) != url or any(char.isspace() for char in url):
        return None
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # a port that is none raises here
    except ValueError:
        return None
    if not host or not host.isascii() or "@" in parts.netloc or not re.fullmatch(r"[\w.:-]+", host):
        return None
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        return None
    encoded = quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    return encoded if len(encoded) <= URL_MAX else None


def link(url: str, label: str, limit: int = 150) -> str:
    """A Slack link to `url` if `checked_url` allows it, else the label alone; the label is outside text."""
    words = inline(label, limit)
    target = checked_url(url)
    return f"<{escape(target)}|{words or escape(target)}>" if target else words


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


_SECRET_NAME = (
    r"(?:[\w-]{0,40}(?:token|password|passwd|secret|signature)|(?:[\w-]{0,40}[_-])?api[_-]?key|key|sig)"
)
_SLACK_TOKEN = re.compile(r"\bx(?:ox[a-z]|app)-[A-Za-z0-9-]+")
_BEARER = re.compile(r"\b(bearer\s{1,5})[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
_BASIC = re.compile(r"\b(basic\s{1,5})([A-Za-z0-9+/_-]{4,}={0,2})", re.IGNORECASE)
_QUERY_SECRET = re.compile(rf"(?<![\w-])({_SECRET_NAME}=)[^\s&;,\"'<>|)\]}}]+", re.IGNORECASE)
_JSON_SECRET = re.compile(rf"([\"']{_SECRET_NAME}[\"']\s{{0,5}}:\s{{0,5}}[\"'])[^\"']+", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^\s/@:]{0,200}:)[^\s/@]{1,500}@")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")
_PEM = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.S
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")


_ACK_LINK = re.compile(r"(/ack/)[A-Za-z0-9_.%-]{8,}")


def redact(text: str, *, emails: bool = False) -> str:
    """`text` with secrets masked: tokens, credentials, keys in queries and JSON; e-mails where asked."""
    text = _PEM.sub(_MASK, text)
    text = _SLACK_TOKEN.sub(_MASK, text)
    text = _ACK_LINK.sub(rf"\1{_MASK}", text)
    text = _JWT.sub(_MASK, text)
    text = _BEARER.sub(rf"\1{_MASK}", text)
    text = _BASIC.sub(_basic, text)
    text = _USERINFO.sub(rf"\1{_MASK}@", text)
    text = _QUERY_SECRET.sub(rf"\1{_MASK}", text)
    text = _JSON_SECRET.sub(rf"\1{_MASK}", text)
    return _EMAIL.sub(_MASK, text) if emails else text


def _basic(found: re.Match[str]) -> str:
    """Masks what decodes to user:password; "basic checks failed" stays as it is."""
    try:
        decoded = base64.b64decode(found[2] + "=" * (-len(found[2]) % 4), altchars=None, validate=False)
    except (binascii.Error, ValueError):
        return found[0]
    return f"{found[1]}{_MASK}" if b":" in decoded else found[0]


def counted(count: int, one: str) -> str:
    """ "1 page", "2 pages", for words whose plural is an s."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def listed(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def without(title: str, text: str) -> str:
    """`text` without `title` at its beginning, where a sender says it twice."""
    said, lead = text.strip(), title.strip()
    if not lead or not said.startswith(lead):
        return said
    rest = said[len(lead) :]
    # "Orders" is not the title of "Orders are late".
    return rest.lstrip(" :.,;-\u2013\u2014") if not rest[:1].isalnum() and rest[:1] != " " else said
