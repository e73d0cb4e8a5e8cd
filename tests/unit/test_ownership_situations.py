"""What happens to a section, situation by situation: the table of docs/credentials-file.md."""

from __future__ import annotations

import pytest

from credfresh.publication import Refusal
from credfresh.splice import ownership
from credfresh.splice.holding import RULING
from credfresh.splice.ownership import Piece
from pieces import INSTANCE, SECRET, block, merge, piece, pieces

OURS = piece("prod")
NEWER = piece("prod", 1)
STAGE = piece("stage")
INVISIBLE = (*"\t\x0b\x1c\x00\x85\u00a0\u2003\u3000\ufeff", " \u00a0 ")
LONG_TERM = "[prod]\naws_access_key_id = AKIAHUMAN\naws_secret_access_key = theirs\n"


def result(standing: str, *put: Piece, issued: tuple[str, ...] = (), **options: object) -> str:
    """Return the file after a merge."""
    return merged(standing, *put, issued=issued, **options).data.decode()


def merged(
    standing: str, *put: Piece, issued: tuple[str, ...] = (), **options: object
) -> ownership.Merge:
    """Return the merge, checked to be stable."""
    outcome = merge(standing.encode(), pieces(*put), issued=issued, **options)  # type: ignore[arg-type]  # the tests name them
    again = merge(outcome.data, pieces(*put), issued=issued, **options)  # type: ignore[arg-type]  # as above
    assert outcome.data == again.data
    return outcome


class TestNew:
    """A profile that does not stand yet."""

    def test_a_new_section_is_appended(self) -> None:
        """It comes last, with nothing between it and what was there."""
        assert "[a]\nk = v\n" + block(OURS) == result("[a]\nk = v\n", OURS)

    def test_an_empty_file_takes_new_sections(self) -> None:
        """A file that was empty then holds our blocks and nothing else."""
        assert block(OURS) + block(STAGE) == result("", OURS, STAGE)

    def test_a_text_without_a_line_end_gets_one_and_loses_it_again(self) -> None:
        """A line end that had to be added is removed with the section."""
        stood = "[a]\nk = v"
        with_ours = result(stood, OURS)
        assert with_ours.startswith(stood + "\n[prod]\n")
        assert " nl=" in with_ours
        assert stood == result(with_ours)

    def test_the_same_merge_again_writes_nothing(self) -> None:
        """Merging is idempotent, from the bytes and from the scanned file."""
        first = merge(b"[a]\n", pieces(OURS))
        second = merge(first.document, pieces(OURS))
        third = merge(first.data, pieces(piece("prod")))
        assert first.data != b"[a]\n"
        assert second.data is first.data
        assert third.data == first.data


class TestOurs:
    """A section that stands as we wrote it."""

    def test_our_section_is_updated_where_it_stands(self) -> None:
        """A renewal changes the block in its place and moves nothing."""
        stood = "# top\n" + block(OURS) + "# bottom\n[z]\n"
        assert stood.replace(block(OURS), block(NEWER)) == result(stood, NEWER)

    def test_foreign_keys_below_our_block_stay_below_it(self) -> None:
        """A foreign key that has no effect on credentials stays under our block."""
        stood = block(OURS) + "# why\noutput = json\ns3 =\n  max = 1\n\n"
        assert stood.replace(block(OURS), block(NEWER)) == result(stood, NEWER)

    def test_the_section_of_a_removed_profile_goes(self) -> None:
        """The section of a profile that left the configuration is taken out of the file."""
        outcome = merged("# top\n" + block(OURS) + "# bottom\n")
        assert (b"# top\n# bottom\n", ("prod",)) == (outcome.data, outcome.removed)

    def test_the_section_of_a_profile_with_nothing_in_hand_stays(self) -> None:
        """Nothing is taken from readers because a renewal has yet to come."""
        assert block(OURS) == result(block(OURS), leave={"prod"})

    def test_the_section_of_a_withdrawn_profile_goes(self) -> None:
        """Its section is removed, and is told as removed."""
        assert merged(block(OURS), withdraw={"prod"}).removed == ("prod",)

    def test_the_header_stays_when_foreign_keys_stay(self) -> None:
        """Without the header they would belong to the section above."""
        stood = "[a]\nk = 1\n" + block(OURS) + "# why\noutput = json\n"
        assert "[a]\nk = 1\n[prod]\n# why\noutput = json\n" == result(stood)

    def test_a_line_that_continues_our_value_goes_with_it(self) -> None:
        """Without our block an indented line below it would have nothing to continue."""
        stood = "[a]\nk =\n" + block(OURS) + "  continued\nx = 1\n"
        assert "[a]\nk =\n[prod]\nx = 1\n" == result(stood)

    def test_an_indented_key_below_our_block_outlives_it(self) -> None:
        """Many readers find a key in it, which may be somebody's own: it does not go with ours."""
        pasted = "  aws_access_key_id = AKIAHUMAN\n\n  aws_secret_access_key=theirs\n  tail\n"
        expected = "[prod]\naws_access_key_id = AKIAHUMAN\n\naws_secret_access_key=theirs\n"
        assert expected == result(block(OURS) + pasted)
        assert expected == result(block(OURS) + pasted, withdraw={"prod"})

    def test_an_indented_key_that_would_be_a_second_one_goes_with_our_block(self) -> None:
        """At column 0 it would make the file unreadable for botocore, which did not see it."""
        stood = block(OURS) + "  output = text\n  k = 1\n  k = 2\noutput = json\n"
        assert "[prod]\nk = 1\noutput = json\n" == result(stood)

    @pytest.mark.parametrize("put", [(), (STAGE,)], ids=["removed", "replaced"])
    def test_a_comment_of_a_removed_section_does_not_continue_the_section_above(
        self, put: tuple[Piece, ...]
    ) -> None:
        """The SDKs for Rust and Java 2 take an indented one for a part of the value above it."""
        stood = "[a]\nk = v\n" + block(OURS) + "\n  # why\n\t; how\n[z]\n"
        ours = "".join(map(block, put))
        assert "[a]\nk = v\n\n# why\n; how\n[z]\n" + ours == result(stood, *put)

    def test_the_header_stays_for_a_key_that_only_some_readers_find(self) -> None:
        """Java 1 ends lines also at Unicode's line separator."""
        tail = "# why\u2028role_arn = x\n"
        assert "[a]\n[prod]\n" + tail == result("[a]\n" + block(OURS) + tail)

    def test_a_copy_of_our_section_goes(self) -> None:
        """One of two identical sections is enough, and botocore cannot read a file with two."""
        outcome = merged(block(OURS) + "[z]\n" + block(OURS), OURS)
        assert (block(OURS) + "[z]\n", ()) == (outcome.data.decode(), outcome.flaws)

    def test_a_section_of_another_instance_is_left(self) -> None:
        """What another daemon wrote is neither an orphan nor ours to replace."""
        theirs = block(piece("prod", instance="other"))
        assert theirs == result(theirs)
        outcome = merged(theirs, OURS)
        assert (theirs, "foreign") == (outcome.data.decode(), outcome.refused[0].code)
        assert "instance other" in outcome.refused[0].reason


class TestAltered:
    """A section that we wrote and somebody changed."""

    def test_an_altered_section_is_put_back_while_its_key_is_ours(self) -> None:
        """Drift in a section whose key we issued is repaired."""
        stood = "[a]\n" + block(OURS).replace(SECRET, "edited") + "[z]\n"
        outcome = merged(stood, OURS, issued=("ASIAPROD0",))
        assert "[a]\n" + block(OURS) + "[z]\n" == outcome.data.decode()
        assert outcome.repaired == ("prod",)

    def test_an_altered_section_with_another_key_is_taken(self) -> None:
        """Somebody pasted keys over ours: not a byte of them is touched."""
        stood = block(OURS).replace("ASIAPROD0\naws_secret", "AKIAHUMAN\naws_secret")
        outcome = merged(stood, NEWER, issued=("ASIAPROD0", "ASIAPROD1"))
        assert stood == outcome.data.decode()
        assert [("profile-prod", "taken")] == [(r.profile, r.code) for r in outcome.refused]

    @pytest.mark.parametrize(
        "id_line", ["AWS_ACCESS_KEY_ID: AKIAHUMAN", "aws_access_key_id =\n  AKIAHUMAN"]
    )
    def test_a_key_id_is_found_however_it_is_spelled(self, id_line: str) -> None:
        """A key id counts as readers take it: in upper case, or continued on the next line."""
        stood = block(OURS).replace("aws_access_key_id = ASIAPROD0", id_line)
        outcome = merged(stood, NEWER, issued=("ASIAPROD0", "ASIAPROD1"))
        assert (stood, "taken") == (outcome.data.decode(), outcome.refused[0].code)

    def test_a_section_with_a_key_id_pasted_below_ours_is_taken(self) -> None:
        """A second key id in the section is somebody else's, wherever it stands."""
        stood = block(OURS) + "aws_access_key_id=AKIAHUMAN\n"
        outcome = merged(stood, NEWER, issued=("ASIAPROD0", "ASIAPROD1"))
        assert (stood, "taken") == (outcome.data.decode(), outcome.refused[0].code)

    @pytest.mark.parametrize("edited", [SECRET, "edited"], ids=["proven", "altered"])
    def test_an_indented_key_id_below_ours_makes_a_section_taken(self, edited: str) -> None:
        """For botocore it continues our last value, for many readers it outranks our key id."""
        stood = block(OURS).replace(SECRET, edited) + "  aws_access_key_id = AKIAHUMAN\n  x = y\n"
        outcome = merged(stood, NEWER, issued=("ASIAPROD0", "ASIAPROD1"))
        assert (stood, "taken") == (outcome.data.decode(), outcome.refused[0].code)

    def test_an_indented_setting_below_our_block_moves_to_column_0(self) -> None:
        """It stays a key for the readers that found one."""
        outcome = merged(block(OURS) + "  output = json\n  tail\n  role_arn = x\n", NEWER)
        assert block(NEWER) + "output = json\n" == outcome.data.decode()
        assert outcome.repaired == ("prod",)

    def test_an_orphan_leaves_a_pasted_key_id_behind(self) -> None:
        """Our block is removed, but a key id that was pasted below it stays."""
        stood = block(OURS) + "aws_access_key_id = AKIAHUMAN\n"
        assert "[prod]\naws_access_key_id = AKIAHUMAN\n" == result(stood)

    def test_a_section_that_lost_its_mark_is_put_back_by_its_key_id(self) -> None:
        """Many programs that write this file drop every comment; the keys are still ours."""
        stood = "".join(line for line in block(OURS).splitlines(keepends=True) if line[0] != "#")
        outcome = merged(stood, OURS, issued=("ASIAPROD0",))
        assert (block(OURS), ("prod",)) == (outcome.data.decode(), outcome.repaired)

    def test_a_section_that_lost_its_keys_is_put_back_by_its_mark(self) -> None:
        """A section cut short is completed."""
        stood = "".join(block(OURS).splitlines(keepends=True)[:2])
        assert block(OURS) == result(stood, OURS, issued=("ASIAPROD0",))
        assert stood == result(stood, OURS)

    def test_line_ends_changed_by_an_editor_are_put_back(self) -> None:
        """A file that was saved with CRLF keeps it everywhere but in our blocks."""
        stood = ("[a]\n" + block(OURS) + "[z]\n").replace("\n", "\r\n")
        assert "[a]\r\n" + block(OURS) + "[z]\r\n" == result(stood, OURS, issued=("ASIAPROD0",))

    def test_a_line_that_ends_in_a_carriage_return_swallows_nothing(self) -> None:
        """What stood between it and the next line goes, but for the line feed between the two."""
        theirs = "mac = 1\raws_session_token = x\n"
        stood = block(OURS).replace(SECRET, "edited") + theirs + "b = 2\n" + theirs + "[z]\n"
        expected = block(OURS) + "mac = 1\r\nb = 2\nmac = 1\r\n[z]\n"
        assert expected == result(stood, OURS, issued=("ASIAPROD0",))

    def test_a_foreign_key_inside_our_block_moves_below_it(self) -> None:
        """`aws configure set` adds its line after the last key: the line stays, ours are whole."""
        lines = block(OURS).splitlines(keepends=True)
        stood = "".join([*lines[:3], "output = json\n", "# why\n", *lines[3:]])
        expected = block(OURS) + "output = json\n# why\n"
        assert expected == result(stood, OURS, issued=("ASIAPROD0",))

    @pytest.mark.parametrize(
        "line",
        ["role_arn = x\n", "AWS_Security_Token: x\n", "aws_session_token=x\n  y\n", "  tail\n"],
    )
    def test_a_key_that_outranks_ours_is_removed(self, line: str) -> None:
        """A key that outranks or repeats ours is removed as drift, and so is a continued value."""
        outcome = merged(block(OURS) + line + "# kept\n", OURS)
        assert (block(OURS) + "# kept\n", ("prod",)) == (outcome.data.decode(), outcome.repaired)

    def test_a_foreign_region_stays_until_we_write_one(self) -> None:
        """Only where we write the key ourselves would theirs be a second one."""
        stood = block(OURS) + "region = eu-west-3\n"
        assert block(NEWER) + "region = eu-west-3\n" == result(stood, NEWER)
        ours = piece("prod", 1, region="eu-west-1")
        assert block(ours) == result(stood, ours)

    def test_an_altered_orphan_is_left(self) -> None:
        """Without a right sum nothing is removed: it may be somebody's copy of ours."""
        stood = block(OURS).replace("[prod]", "[mycopy]")
        assert stood == result(stood, issued=("ASIAPROD0",))

    def test_an_altered_withdrawn_section_goes_if_its_key_is_ours(self) -> None:
        """The keys of a compromised role are removed in spite of a stray edit."""
        stood = "[a]\n" + block(OURS).replace(SECRET, "edited") + "# note\n"
        outcome = merged(stood, issued=("ASIAPROD0",), withdraw={"prod"})
        assert ("[a]\n# note\n", ("prod",)) == (outcome.data.decode(), outcome.removed)

    def test_nothing_of_an_altered_withdrawn_section_is_in_the_way_of_the_next_one(self) -> None:
        """Its region is ours as well; if it stayed, so would a header that is nobody's any more."""
        header, _, keys = block(piece("prod", region="eu-west-1")).split("\n", 2)
        stood = f"[a]\n{header}\n{keys}"
        assert "[a]\n" == result(stood, issued=("ASIAPROD0",), withdraw={"prod"})

    def test_a_withdrawn_section_with_other_keys_is_left_and_told(self) -> None:
        """Keys that we did not issue are not removed; a flaw says where they stand."""
        stood = "[a]\n" + block(OURS).replace("ASIAPROD0\naws_secret", "AKIAHUMAN\naws_secret")
        outcome = merged(stood, withdraw={"prod"})
        assert stood == outcome.data.decode()
        assert [(2, "left_alone", False)] == [(f.line, f.code, f.fatal) for f in outcome.flaws]

    def test_withdrawing_a_profile_does_not_concern_a_foreign_section_of_its_name(self) -> None:
        """Withdrawing a profile does not concern a foreign section of its name."""
        outcome = merged(LONG_TERM, withdraw={"prod", "never-stood"})
        assert (LONG_TERM, (), ()) == (outcome.data.decode(), outcome.removed, outcome.flaws)


class TestForeign:
    """A section that we did not write."""

    @pytest.mark.parametrize(
        "stood",
        [
            LONG_TERM,
            "[prod]\n",
            "[prod] # comment\nk = v\n",
            LONG_TERM.replace("[prod]", "[ prod ]"),
            "\ufeff" + LONG_TERM,
            "  " + LONG_TERM,
            "[a]\nk = v\n  " + LONG_TERM,
            "[a]\r" + LONG_TERM,
            "[a]\nk = v\n\u00a0" + LONG_TERM,
            "[a]\nk = v\n\ufeff" + LONG_TERM,
            "[prod] x [y]\n",
            LONG_TERM + "[z]\n" + LONG_TERM,
            "[prod]\n# credfresh v=2 instance=build-host\n",
        ],
    )
    def test_a_foreign_section_is_never_touched(self, stood: str) -> None:
        """Whatever some reader takes for the section makes the merge refuse ours."""
        outcome = merged(stood, OURS, STAGE)
        assert stood + block(STAGE) == outcome.data.decode()
        assert [("profile-prod", "foreign")] == [(r.profile, r.code) for r in outcome.refused]

    @pytest.mark.parametrize("settings", ["output = json\n", "# c\ns3 =\n  max = 9\n", "output=x"])
    def test_a_section_that_says_nothing_of_credentials_takes_our_block(
        self, settings: str
    ) -> None:
        """Such a section is left when ours goes; else the profile could never come back."""
        stood = f"[a]\n[prod]\n{settings}"
        with_ours = result(stood, OURS)
        assert f"[a]\n{block(OURS)}{settings}" == with_ours
        assert stood == result(with_ours)
        assert stood == result(with_ours, withdraw={"prod"})

    @pytest.mark.parametrize(
        "stood",
        [
            *(f"[prod]\noutput = json\n{key} = x\n" for key in sorted(RULING)),
            "[prod]\noutput = json\nregion = us-east-1\n",
            "[prod]\r\noutput = json\r\n",
            "[prod] # ours\noutput = json\n",
            "[prod]\n  output = json\n",
            "[prod]\n  # c\noutput = json\n",
            "[prod]\noutput = json\n[prod]\n",
            "[prod]\n# credfresh v=2\noutput = json\n",
            "[prod]\n# output = json\n",
            "[prod]\noutput = json\n  aws_access_key_id = AKIAHUMAN\n",
        ],
    )
    def test_our_block_is_put_into_no_section_that_would_change_by_it(self, stood: str) -> None:
        """Nor would taking the block away give its bytes back."""
        outcome = merged(stood, piece("prod", region="eu-west-1"))
        assert stood == outcome.data.decode()
        assert ["foreign"] == [refusal.code for refusal in outcome.refused]

    def test_a_refusal_says_where_and_what_to_do(self) -> None:
        """An operator is given the line and the way out."""
        assert merged("# c\n" + LONG_TERM, OURS).refused == (
            Refusal(
                "profile-prod",
                "foreign",
                "[prod] (line 2) was not written by us",
                "give the profile another `section`, remove that one, or say `adopt: true`",
            ),
        )

    def test_names_of_sections_differ_by_case(self) -> None:
        """No reader takes [PROD] for [prod]."""
        stood = LONG_TERM.replace("[prod]", "[PROD]")
        assert stood + block(OURS) == result(stood, OURS)

    def test_adoption_replaces_credentials_and_keeps_other_settings(self) -> None:
        """The keys are ours from now on; comments and other settings are still theirs."""
        stood = (
            "[a]\n[ prod ] # mine\n# since 2019\n  output = json\naws_access_key_id = AKIAHUMAN\n"
            "aws_secret_access_key = x\n  y\n\n# kept\ns3 =\n  max = 1\n"
            "role_arn = x\n# about z\n[z]\n"
        )
        adopter = piece("prod", adopt=True)
        outcome = merged(stood, adopter)
        assert outcome.adopted == ("prod",)
        assert outcome.data.decode() == (
            "[a]\n" + block(adopter) + "# since 2019\noutput = json\n\n# kept\ns3 =\n"
            "  max = 1\n# about z\n[z]\n"
        )

    def test_a_line_indented_beyond_ascii_does_not_continue_our_last_value(self) -> None:
        """It is moved to column 0, as one behind plain spaces is, and so survives renewals."""
        stood = "[prod]\n\u00a0output = json\naws_access_key_id = AKIAHUMAN\n"
        adopted = result(stood, piece("prod", adopt=True))
        assert block(OURS) + "output = json\n" == adopted
        assert block(NEWER) + "output = json\n" == result(adopted, NEWER)

    @pytest.mark.parametrize(
        "stood", [LONG_TERM * 2, "[prod]\nk = 1\n  [x]\n", "[a]\r[prod]\nk = 1\n"]
    )
    def test_adoption_needs_a_section_with_clear_bounds(self, stood: str) -> None:
        """Where readers disagree on the bounds of a section, it cannot be replaced."""
        outcome = merged(stood, piece("prod", adopt=True))
        assert (stood, "foreign") == (outcome.data.decode(), outcome.refused[0].code)
        assert "no bounds that readers agree on" in outcome.refused[0].reason

    def test_adoption_takes_a_taken_section_back(self) -> None:
        """`adopt: true` says that ours outranks what was pasted."""
        stood = block(OURS).replace("ASIAPROD0\naws_secret", "AKIAHUMAN\naws_secret")
        adopter = piece("prod", 1, adopt=True)
        assert block(adopter) == result(stood, adopter)

    def test_beside_a_foreign_section_of_its_name_ours_is_kept_fresh(self) -> None:
        """The file is broken for botocore, not by us; readers that manage get new keys."""
        outcome = merged(block(OURS) + LONG_TERM, NEWER)
        assert block(NEWER) + LONG_TERM == outcome.data.decode()
        assert [(7, "duplicate_section")] == [(f.line, f.code) for f in outcome.flaws]

    def test_a_tangled_section_of_ours_is_renewed_and_nothing_below_it_moves(self) -> None:
        """To some readers an indented header below our block begins a section."""
        stood = block(OURS) + "  [x]\nrole_arn = y\n"
        assert block(NEWER) + "  [x]\nrole_arn = y\n" == result(stood, NEWER)
        assert "[prod]\n  [x]\nrole_arn = y\n" == result(stood)

    @pytest.mark.parametrize("space", INVISIBLE, ids=ascii)
    def test_a_header_behind_any_white_space_keeps_what_it_heads(self, space: str) -> None:
        """Some reader trims each of these before `[dev2]`, so its lines are not ours to take."""
        tail = f"{space}[dev2]\nrole_arn = arn:x\nsource_profile = me\n"
        assert block(NEWER) + tail == result(block(OURS) + tail, NEWER)
        assert "[prod]\n" + tail == result(block(OURS) + tail)

    @pytest.mark.parametrize("space", INVISIBLE, ids=ascii)
    def test_a_header_behind_any_white_space_is_known_by_its_name(self, space: str) -> None:
        """Readers that trim would find two sections of that name if ours were added."""
        stood = f"[a]\nk = v\n{space}[stage]\nrole_arn = y\n"
        outcome = merged(stood, STAGE)
        assert (stood, "foreign") == (outcome.data.decode(), outcome.refused[0].code)

    def test_a_bracket_within_a_foreign_line_is_no_header(self) -> None:
        """Non-ASCII letters before it are no white space: keys below it are in our section."""
        stood = block(OURS) + "# \u00e9[x]\n\u00e9[y] = \u00a0[z]\nrole_arn = y\n"
        assert stood.replace(block(OURS), block(NEWER)).replace("role_arn = y\n", "") == result(
            stood, NEWER
        )


class TestBroken:
    """A file that SDKs cannot read."""

    @pytest.mark.parametrize("stood", ["[a]\nstray", "[unclosed", "\0\0", "[a]\n[a]", "k = v"])
    def test_a_broken_file_is_spliced_all_the_same(self, stood: str) -> None:
        """The bounds of our section are clear in any file, and some readers read on."""
        outcome = merged(stood, OURS)
        assert outcome.data.decode().startswith(stood + "\n[prod]\n")
        assert any(flaw.fatal for flaw in outcome.flaws)
        assert stood == result(outcome.data.decode())


class TestLineEnd:
    """The line end that we had to add, in whatever order the sections go."""

    def test_a_line_end_note_moves_on_to_our_next_section(self) -> None:
        """Whichever section goes first, the last one of ours takes the line end with it."""
        both = result("x", OURS, STAGE)
        only_stage, only_prod = result(both, STAGE), result(both, OURS)
        assert only_stage.startswith("x\n[stage]\n")
        assert only_prod.startswith("x\n[prod]\n")
        assert ["x", "x"] == [result(only_stage), result(only_prod)]

    def test_a_line_end_note_moves_on_to_a_section_that_replaces_ours(self) -> None:
        """A profile that is renamed in the configuration leaves no trace either."""
        renamed = result(result("x", OURS), STAGE)
        assert renamed.startswith("x\n[stage]\n")
        assert "x" == result(renamed)

    def test_an_added_line_end_stays_when_a_foreign_line_follows(self) -> None:
        """Two foreign lines never become one."""
        assert "x\n# y" == result(result("x", OURS) + "# y")
        assert "x\n[y]\n" == result(result("x", OURS) + "[y]\n")

    def test_a_line_end_that_somebody_else_wrote_stays(self) -> None:
        """A line end that somebody else wrote is not ours to take, wherever our section is now."""
        stood = result("x", OURS).replace("x\n", "x\n# inserted\n")
        assert "x\n# inserted\n" == result(stood)

    def test_a_line_end_note_survives_renewals(self) -> None:
        """The note about it is carried from block to block."""
        assert "x" == result(result(result("x", OURS), NEWER))

    def test_a_line_end_note_survives_a_repair_and_an_altered_withdrawal(self) -> None:
        """The note is believed even in a block that no longer proves itself."""
        altered = result("x", OURS).replace(SECRET, "edited")
        known = ("ASIAPROD0",)
        assert "x" == result(result(altered, NEWER, issued=known))
        assert "x" == result(altered, issued=known, withdraw={"prod"})

    def test_a_stale_line_end_note_is_dropped(self) -> None:
        """When the text that a note is about is gone, the next renewal drops the note."""
        stood = result("x", OURS)[2:]
        assert block(NEWER) == result(stood, NEWER)
        assert not result(stood)

    def test_each_text_without_a_line_end_has_its_own_note(self) -> None:
        """Each line end goes with its own section."""
        twice = result(result("x", OURS) + "# y", OURS, STAGE)
        assert "x\n# y" == result(twice)
        assert result(twice, OURS) == result("x", OURS) + "# y"
        assert result(twice, STAGE).startswith("x\n# y\n[stage]\n")


def test_no_repr_of_the_pure_core_shows_a_secret() -> None:
    """No repr of the pure core shows a secret, be it ours or foreign."""
    outcome = merged(block(OURS) + LONG_TERM, NEWER, STAGE)
    parts = (outcome, outcome.document, outcome.document.sections, NEWER)
    shown = repr((parts, ownership.owned(outcome.document, INSTANCE)))
    assert SECRET not in shown
    assert "theirs" not in shown
