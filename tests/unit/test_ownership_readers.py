"""No merge changes what readers that parse differently from botocore find in foreign sections."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pieces import merge, piece, pieces

NAMES = ("dev", "prod")
TEXTS = (
    b"[a]\n",
    b"[b]\r\n",
    b"[ c ] # d\n",
    b"# c\n",
    b"  # indented\n",
    b"\t; indented\r\n",
    b"# mac\r",
    b"\n",
    b"  \r\n",
    b"k = v\n",
    b"mac = 1\raws_session_token = x\n",
    b"two = 2\r",
    b"three = 3\r\n",
    b"  four = 4\n",
    b"\taws_secret_access_key = theirs\n",
    b"  tail\n",
    b"role_arn = x\n",
    piece("dev").render(),
    piece("prod").render(),
    piece("prod").render().replace(b"canary", b"edited"),
    piece("prod").render().replace(b"\n", b"\r\n"),
)
PASTED = (
    b"",
    b"aws_access_key_id = AKIAHUMAN\n",
    b"  aws_access_key_id = AKIAHUMAN\n",
    b"\tAWS_ACCESS_KEY_ID=AKIAHUMAN\r\n",
)
ENDS = (b"", b"k = v", b"# c")
texts = st.lists(st.sampled_from(TEXTS), max_size=5).map(b"".join)

Found = dict[str, list[list[str]]]


def found_by_lines(data: bytes) -> Found:
    """Return what a reader finds for which each line with a `=` sets a key, indented or not."""
    found: Found = {"": []}
    section = ""
    for line in map(str.strip, data.decode().split("\n")):
        if line.startswith("[") and "]" in line:
            section = line[1 : line.index("]")].strip()
            found.setdefault(section, [])
        elif "=" in line and line[0] not in "#;":
            key, _, value = line.partition("=")
            found[section].append([key.strip().lower(), value.strip()])
    return found


def found_by_specification(data: bytes) -> Found | None:
    """Return what the SDKs for Rust and Java 2 find: to them all that is indented is a value.

    None if they refuse the file.
    """
    found: Found = {}
    keys: list[list[str]] | None = None
    for line in data.decode().split("\n"):
        content = line.strip()
        if not content or line[0] in "#;":
            continue
        if line[0] == "[" and "]" in line:
            keys = found.setdefault(line[1 : line.index("]")].strip(), [])
        elif line[0] in " \t" and keys:
            keys[-1][1] += "\n" + content
        elif line[0] not in " \t" and "=" in line and keys is not None:
            key, _, value = content.partition("=")
            keys.append([key.strip().lower(), value.strip()])
        else:
            return None
    return found


def foreign(found: Found) -> Found:
    """Return the sections whose names are not ours."""
    return {name: keys for name, keys in found.items() if name not in NAMES}


def long_term(found: Found) -> set[str]:
    """Return the sections in which the key id is found that we did not issue."""
    return {name for name, keys in found.items() if ["aws_access_key_id", "AKIAHUMAN"] in keys}


@settings(max_examples=300, deadline=None)
@given(
    stood=st.tuples(texts, st.sampled_from(PASTED), texts, st.sampled_from(ENDS)).map(b"".join),
    put=st.sets(st.sampled_from(NAMES)),
    withdraw=st.sets(st.sampled_from(NAMES)),
)
def test_other_readers_find_the_same_foreign_sections_and_keys(
    stood: bytes, put: set[str], withdraw: set[str]
) -> None:
    """Whatever is put, repaired, removed or withdrawn, and wherever somebody has pasted keys."""
    wanted = pieces(*(piece(name, 1) for name in sorted(put)))
    data = merge(stood, wanted, withdraw=withdraw - put).data
    before, after = found_by_lines(stood), found_by_lines(data)
    assert foreign(before) == foreign(after)
    assert long_term(before) <= long_term(after)
    strictly = found_by_specification(stood)
    if strictly is not None and b"\r" not in stood.replace(b"\r\n", b""):
        still = found_by_specification(data)
        assert still is not None
        assert foreign(strictly) == foreign(still)
