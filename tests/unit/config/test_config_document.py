"""Traps of YAML are refused with their place, and no file can exhaust the parser."""

from __future__ import annotations

import time

import pytest
import yaml

from configs import TOP, accepted, one_profile, only_problem, production, refused
from credfresh.config.decoding import MOST_BYTES
from credfresh.config.parse import parse
from credfresh.errors import ConfigError


class Counting(yaml.BaseLoader):
    """A parser that counts the events that are taken from it."""

    events = 0

    def get_event(self) -> yaml.Event:
        Counting.events += 1
        event: yaml.Event = super().get_event()  # type: ignore[no-untyped-call]
        return event


@pytest.fixture(autouse=True)
def _from_zero() -> None:
    Counting.events = 0


LOADERS = [
    pytest.param(yaml.BaseLoader, id="python"),
    pytest.param(
        getattr(yaml, "CBaseLoader", None),
        id="libyaml",
        marks=pytest.mark.skipif(not hasattr(yaml, "CBaseLoader"), reason="PyYAML without libyaml"),
    ),
]


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    "word", ["012345670123", "123456789012", "1_000", "12:30:45", "2026-11-24", "0x1F", "1e3", "no"]
)
def test_every_value_is_text(word: str, loader: type) -> None:
    """What YAML 1.1 would read as a number, a date or a boolean stays as it is written."""
    text = one_profile(f"role_session_name: ci\nsession_tags: {{key: '{word}', plain: {word}}}")
    settings = accepted(text, loader=loader)
    assert settings.profiles["production"].session_tags == (("key", word), ("plain", word))


def test_an_account_id_is_not_octal() -> None:
    """`012345670123` is 1402433619 to YAML 1.1, and nobody would notice before STS does."""
    assert production(one_profile("external_id: 012345670123")).external_id == "012345670123"


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "line", "column", "path", "reason"),
    [
        ("", 1, 1, "", "the file is empty"),
        ("# nothing\n", 1, 1, "", "the file is empty"),
        ("---\n", 2, 1, "", "the file is empty"),
        ("~", 1, 1, "", "the file is empty"),
        ("- a\n- b\n", 1, 1, "", "the file must be a mapping of keys at its top (got a list)"),
        ("hello", 1, 1, "", "the file must be a mapping of keys at its top (got text)"),
        ("a: b: c\n", 1, 5, "", "a key and its `:` cannot stand here"),
        ("a: @x\n", 1, 4, "", "a text cannot begin with `@`"),
        ("a: 'x\nb: 1\n", 3, 1, "", "a quote is opened and never closed (in what begins at 1:4)"),
        ("a: 1\n---\nb: 1\n", 2, 1, "", "a second document begins here; the file must be one"),
        ("? [a]\n: b\n", 1, 3, "", "a key must be text (got a collection)"),
        ("*a : b\n", 1, 1, "", "aliases (`*name`) are refused"),
        ("<<: {a: b}\n", 1, 1, "'<<'", "merge keys (`<<`) are refused"),
        ("a: !x!secret 1\n", 1, 4, "", "tags (`!name`) are refused"),
        ("%YAML 3.0\n---\na: 1\n", 1, 1, "", "only YAML 1.x is read"),
        ("a: [1, 2\nb: 1\n", 2, 2, "", None),
        ("a: 1\n...\nfoo", 3, 1, "", "nothing may follow the end of the document"),
        ("a: [1,, 2]\n", 1, 7, "", "a value or a key is missing here"),
        ("a: - b\n", 1, 4, "", "a list cannot begin here"),
        ("a: ? b\n", 1, 4, "", "a text cannot begin with `? ` here"),
        (
            "a: |x\n  b\n",
            1,
            5,
            "",
            "nothing but a line end may stand behind the `|` or `>` of a text of several lines",
        ),
        ("a: 'it's'\n", 1, 8, "", "nothing can stand behind the closing quote or bracket"),
        ("a: [b] c\n", 1, 8, "", "nothing can stand behind the closing quote or bracket"),
        ("a: b\n c: d\n", 2, 3, "", "a key and its `:` cannot stand here"),
        (
            "- a\nb: c\n",
            2,
            1,
            "",
            "the line does not continue what stands above it (in what begins at 1:1)",
        ),
        (
            'a: "b\n---\nc"\n',
            2,
            1,
            "",
            "a quote is opened and not closed before the `---` or `...` (in what begins at 1:4)",
        ),
        (
            'a: "\\uzzzz"\n',
            1,
            7,
            "",
            "a `\\x`, `\\u` or `\\U` in a text in double quotes names no character",
        ),
    ],
)
def test_what_is_not_a_configuration_is_refused_where_it_stands(
    text: str, line: int, column: int, path: str, reason: str | None, *, loader: type
) -> None:
    """Both parsers of PyYAML give the same sentence at the same place."""
    problem = only_problem(text, loader=loader)
    assert (problem.line, problem.column, problem.path) == (line, column, path)
    if reason is not None:
        assert problem.reason == reason


@pytest.mark.parametrize("loader", LOADERS)
def test_a_tab_that_indents_is_named(loader: type) -> None:
    """The commonest mistake of all has a sentence of its own."""
    problem = only_problem("credentials_file:\n\tpath: /x\n", loader=loader)
    assert (problem.line, problem.reason) == (2, "a tab cannot indent")


def test_half_of_a_surrogate_pair_is_named() -> None:
    """JSON writes an emoji as two escaped halves, which YAML does not have."""
    problem = only_problem(one_profile('external_id: "\\ud800"'))
    assert problem.reason.endswith("names no character")
    assert "use single quotes" == problem.hint


@pytest.mark.parametrize("loader", LOADERS)
def test_an_unfinished_merge_is_named(loader: type) -> None:
    """The marks of git are no YAML, but what is wrong with them as YAML is of no use."""
    text = one_profile("duration: 1h")
    mine, theirs = "    duration: 1h\n", "    duration: 2h\n"
    assert mine in text
    merged = f"<<<<<<< HEAD\n{mine}=======\n{theirs}>>>>>>> longer\n"
    problem = only_problem(text.replace(mine, merged), loader=loader)
    assert "holds the marks of a merge that was not finished" == problem.reason


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("line", ["region:\u00a0eu-west-1", "region\uff1a eu-west-1"])
def test_a_space_or_colon_that_only_looks_like_one_is_hinted_at(line: str, loader: type) -> None:
    """Web pages have no-break spaces, and word processors colons of full width."""
    problem = only_problem(one_profile(f"{line}\nduration: 1h"), loader=loader)
    assert "expected a `:` after the key" in problem.reason
    assert (problem.hint or "").startswith("a `:` and a plain space follow each key")


@pytest.mark.parametrize("loader", LOADERS)
def test_a_key_that_is_set_twice_gives_both_places(loader: type) -> None:
    """This holds at every level, and the rest of the file is judged all the same."""
    text = TOP + (
        "defaults: {region: eu-west-1}\n"
        "profiles:\n"
        "  a:\n"
        "    role_arn: arn:aws:iam::111111111111:role/x\n"
        "    duration: 1h\n"
        "    duration: 13h\n"
        "  a:\n"
        "    nonsense: {deep: [1, 2]}\n"
        "  b: {role_arn: x}\n"
    )
    found = [(p.line, p.column, p.path, p.reason) for p in refused(text, loader=loader)]
    assert found == [
        (7, 5, "profiles.a.duration", "is set twice; the first is at 6:5"),
        (8, 3, "profiles.a", "is set twice; the first is at 4:3"),
        (10, 17, "profiles.b.role_arn", "must be the ARN of a role (got 'x')"),
    ]


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("&secretanchor abcd", "anchors (`&name`) are refused"),
        ("!secrettag abcd", "tags (`!name`) are refused"),
        ("!!str abcd", "tags (`!name`) are refused"),
        ("*secretalias", "aliases (`*name`) are refused"),
        ("~", "has no value ('~' is YAML's word for nothing)"),
        ("null", "has no value ('null' is YAML's word for nothing)"),
        ("", "has no value"),
    ],
)
def test_a_value_that_yaml_would_take_for_something_else_is_refused(
    value: str, reason: str, loader: type
) -> None:
    """An external id cannot begin with `&`, `!` or `*`; names of such things are not repeated."""
    problem = only_problem(one_profile(f"external_id: {value}"), loader=loader)
    assert (problem.path, problem.reason) == ("profiles.production.external_id", reason)
    assert (problem.line, problem.column) == (6, 18 if value else 17)
    assert "secret" not in str(problem)


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            "sources: {ci:{environment:true}}\n",
            "a space follows the `:` of each key, also in braces",
        ),
        (" instance: a\nready: fresh\n", "the keys at the top stand in one column"),
    ],
)
def test_the_slips_of_a_beginner_have_a_hint(text: str, hint: str, loader: type) -> None:
    """What YAML says of them, if anything, is about YAML."""
    assert hint == refused(text, loader=loader)[-1].hint


def test_a_missing_space_in_braces_is_named() -> None:
    """YAML takes all of it for a key."""
    problem = refused("log: {level:info}")[-1]
    assert (problem.path, problem.reason) == ("log.'level:info'", "has no value")
    assert problem.hint == "a space follows the `:` of each key, also in braces"


def test_a_billion_laughs_are_not_expanded() -> None:
    """Nine lines that would be gigabytes are refused at the first alias."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    began = time.perf_counter()
    problems = refused("\n".join(lines))
    assert "anchors (`&name`) are refused" in {p.reason for p in problems}
    assert time.perf_counter() - began < 30


def test_null_in_quotes_is_a_text() -> None:
    """In quotes, the word itself can be a value."""
    assert production(one_profile('external_id: "null"')).external_id == "null"


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "{? "])
def test_ten_thousand_levels_end_neither_the_parser_nor_python(opening: str, loader: type) -> None:
    """Depth is bounded as the events arrive, so nothing recurses."""
    problem = only_problem("a:\n " + opening * 10_000, loader=loader)
    assert any(word in problem.reason for word in ("deep", "must be text"))
    assert len(str(problem)) < 200


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("end", ["", "\n"], ids=["a line", "lines"])
def test_too_deep_names_the_bound_and_what_it_is_in(end: str, loader: type) -> None:
    """The parser in C gives up at a bound of its own, without the path that our message has."""
    problem = only_problem("a:\n  b:\n" + f"   [{end}" * 10_000, loader=loader)
    assert problem.reason == "is nested more than 32 deep"
    assert problem.path.startswith("a.b")
    assert problem.line > 2
    assert problem.hint


def test_ten_thousand_levels_within_a_json_policy_are_answered() -> None:
    """JSON within a text has a bound of depth too."""
    policy = '{"Statement": ' + "[" * 10_000 + "]" * 10_000 + "}"
    problem = only_problem(one_profile(f"policy: '{policy}'"))
    assert problem.reason == "is nested too deep"


def test_a_ten_megabyte_file_is_refused_before_it_is_parsed() -> None:
    """The message names the bound, and no event is parsed."""
    problem = only_problem(b"a: b\n" * 2_000_000, loader=Counting)
    assert 0 == Counting.events
    assert problem.reason == "the file is larger than the 8,388,608 bytes that are read at most"
    assert MOST_BYTES == 8_388_608


@pytest.mark.parametrize(
    ("data", "line", "column", "reason"),
    [
        (b"a: caf\xe9\n", 1, 7, "byte 0xe9 is not UTF-8"),
        (b"# \xc3\xa4\xc3\xa4\nab: \xff\n", 2, 5, "byte 0xff is not UTF-8"),
        ("a: b".encode("utf-16"), 1, 1, "byte 0xff is not UTF-8"),
        (b"a: b\nc: d\x00\n", 2, 5, "the character U+0000 cannot stand in YAML"),
        (b"\xef\xbb\xbfa: \x1b[31m\n", 1, 4, "the character U+001B cannot stand in YAML"),
        (b"a: \xed\xa0\x80\n", 1, 4, "byte 0xed is not UTF-8"),
    ],
)
def test_bytes_that_are_no_text_are_named_where_they_stand(
    data: bytes, line: int, column: int, reason: str
) -> None:
    """Columns count characters, not bytes."""
    problem = only_problem(data)
    assert (problem.line, problem.column, problem.reason) == (line, column, reason)


def test_columns_count_characters_in_values_too() -> None:
    """An umlaut before the mistake does not shift its column."""
    text = TOP + 'defaults: {region: eu-west-1}\nprofiles: {"ä": {role_arn: x}}\n'
    places = [(p.line, p.column) for p in refused(text)]
    assert (3, 28) in places


def test_control_characters_never_reach_a_terminal() -> None:
    """YAML can spell them in double quotes; a message shows them escaped, on one line."""
    problem = only_problem(one_profile('duration: "1h\\e[31m\\n"'))
    assert "(got '1h\\x1b[31m\\n')" in problem.reason
    assert problem.reason.isprintable()


def test_many_problems_are_bounded() -> None:
    """A file of nothing but mistakes gets 200 answers and a last line that says so."""
    text = TOP + "profiles:\n" + "".join(f"  p{n}: {{role_arn: x}}\n" for n in range(5_000))
    problems = refused(text)
    assert len(problems) == 201
    assert "first 200 problems" in problems[-1].reason


def test_both_parsers_agree_on_a_good_file() -> None:
    """Settings do not depend on whether libyaml is there."""
    data = one_profile('external_id: "a:b"\nsession_tags: {k: "v w"}').encode()
    assert parse(data, "c.yaml", loader=yaml.BaseLoader) == parse(data, "c.yaml")


def test_a_config_error_has_no_cause_that_quotes_the_file() -> None:
    """A traceback of ConfigError shows no parser's or validator's error: those quote the file."""
    for text in (b"\xff", "a: 'x", "a: b: c", one_profile("duration: x")):
        with pytest.raises(ConfigError) as caught:
            accepted(text)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def test_a_file_of_nothing_but_duplicates_is_not_read_to_its_end() -> None:
    """After 200 problems of syntax, the rest of the file is not parsed."""
    problems = refused(b"a: b\n" * 100_000, loader=Counting)
    assert len(problems) == 201
    assert 400 < Counting.events < 500
