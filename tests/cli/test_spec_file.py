"""Test files of trunk specs: every format gives the same specs, every fault its line.

No fault shows what stands in the file.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telepath_async import Secret, TrunkSpec, UsageError
from telepath_async.cli.spec_file import read_rows

NO_KEYS: dict[str, Secret | None] = {}
FIELDS = ("name", "ai_provider", "sip_username", "sip_password", "openai_api_key", "system_prompt")


def row(username: str = "front", **changes: Any) -> dict[str, Any]:
    fields = {
        "name": "Front desk", "ai_provider": "openai", "sip_username": username,
        "sip_password": "s3cur3-password", "openai_api_key": "sk-1",
    }  # fmt: skip
    return {name: value for name, value in (fields | changes).items() if value is not None}


def as_csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


WRITERS = {
    ".csv": as_csv,
    ".json": json.dumps,
    ".ndjson": lambda rows: "".join(json.dumps(fields) + "\n" for fields in rows),
    ".yaml": lambda rows: yaml.safe_dump(rows, allow_unicode=True),
}


def written(folder: Path, ending: str, text: str) -> Path:
    file = folder / f"trunks{ending}"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(folder: Path, ending: str, text: str, keys: dict[str, Secret | None] = NO_KEYS) -> str:
    with pytest.raises(UsageError) as refused:
        read_rows(written(folder, ending, text), keys)
    assert refused.value.__cause__ is None
    return str(refused.value)


_text = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1).filter(
    str.strip
)
_rows = st.lists(
    st.fixed_dictionaries(
        {
            "name": _text,
            "sip_username": st.from_regex(r"[A-Za-z0-9-]+", fullmatch=True),
            "sip_password": st.text(
                st.characters(codec="utf-8", exclude_categories=("C",)), min_size=8
            ).filter(lambda text: text == text.strip()),
            "system_prompt": _text,
        }
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda fields: fields["sip_username"],
)


@pytest.mark.parametrize("ending", WRITERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=_rows)
def test_what_is_written_is_read_in_every_format(
    tmp_path: Path, ending: str, rows: list[dict[str, Any]]
) -> None:
    wanted = [row(**fields) for fields in rows]
    read = read_rows(written(tmp_path, ending, WRITERS[ending](wanted)), NO_KEYS)
    given_back = [
        {
            name: value.reveal() if isinstance(value, Secret) else value
            for name, value in made.spec.fields().items()
        }
        for made in read
    ]
    assert given_back == wanted


@pytest.mark.parametrize(
    ("ending", "text", "lines"),
    [
        (".csv", as_csv([row("a"), row("b")]), [2, 3]),
        (".csv", as_csv([row("a", system_prompt="Be\nkind."), row("b")]), [2, 4]),
        (".json", json.dumps([row("a"), row("b")], indent=1), [2, 9]),
        (".json", json.dumps(row("a")) + "\n\n" + json.dumps(row("b")), [1, 3]),
        (".yml", yaml.safe_dump([row("a"), row("b")]), [1, 6]),
    ],
)
def test_each_row_knows_its_line(tmp_path: Path, ending: str, text: str, lines: list[int]) -> None:
    assert [made.line for made in read_rows(written(tmp_path, ending, text), NO_KEYS)] == lines


def test_a_csv_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    text = (
        "\ufeff name ,ai_provider,sip_username,sip_password,openai_api_key\r\n\r\n"
        "Front,openai,front,s3cur3-password,sk\r\n"
    )
    (made,) = read_rows(written(tmp_path, ".csv", text), NO_KEYS)
    assert (made.line, made.spec.name) == (3, "Front")


def test_all_faults_of_all_rows_are_listed_with_their_lines(tmp_path: Path) -> None:
    rows = [
        row("a", sip_password=None),
        row("b"),
        row("b"),
        row("c", ai_provider="azure"),
        row("d", colour="red"),
    ]
    said = refusal(tmp_path, ".ndjson", WRITERS[".ndjson"]([*rows, []]))
    assert "5 rows" in said
    assert "nothing was sent" in said
    assert "line 1: trunk spec: sip_password is missing" in said
    assert "line 3: this sip_username stands in line 2 already" in said
    assert "line 4: trunk spec: ai_provider must be one of" in said
    assert "line 5: unknown field 'colour'" in said
    assert "line 6: must be a trunk with its fields, not list" in said


def test_faults_beyond_fifty_are_counted(tmp_path: Path) -> None:
    said = refusal(tmp_path, ".json", json.dumps([row(f"a{n}", name=None) for n in range(60)]))
    assert said.count("\n") == 51
    assert said.endswith("… and 10 more")


def test_a_key_for_all_fills_the_rows_that_have_none(tmp_path: Path) -> None:
    rows = [row("a", openai_api_key=None), row("b", openai_api_key="sk-own")]
    read = read_rows(
        written(tmp_path, ".json", json.dumps(rows)),
        {"openai": Secret("sk-all"), "elevenlabs": None},
    )
    assert [made.spec.openai_api_key for made in read] == [Secret("sk-all"), Secret("sk-own")]
    assert "sk-all" not in repr(read)
    assert "openai_api_key is missing" in refusal(tmp_path, ".json", json.dumps(rows))


@pytest.mark.parametrize(
    ("ending", "text", "said"),
    [
        (".csv", 'name,sip_username\n"SECRET', "line 2: this is not CSV"),
        (".csv", 'name,sip_username\n"SECRET,b\nc,d\ne,f\n', "line 2: this is not CSV"),
        (".csv", "name,sip_username\nSECRET,a,SECRET2", "(a column without a name)"),
        (".csv", "name\n", "holds no trunks"),
        (
            ".csv",
            "Front,custom,front-1,SECRET\nBack,custom,back-1,SECRET",
            "line 1: this must name the columns",
        ),
        (".csv", "", "holds no trunks"),
        (".json", "", "holds no trunks"),
        (".json", "[]", "holds no trunks"),
        (".json", '[{"sip_password": "SECRET"\n"b": 1}]', "line 2: this is not JSON"),
        (".json", '[{"sip_password": "SECRET"}', "line 1: this is not JSON"),
        (".json", '[{"name": "a"}] SECRET', "line 1: this is not JSON"),
        (".json", "[SECRET]", "line 1: this is not JSON"),
        (".json", '{"a": 1}\nSECRET', "line 2: this is not JSON"),
        (".json", "[" * 100_000, "line 1: this is not JSON"),
        (".json", "[" + "9" * 5_000 + "]", "line 1: this is not JSON"),
        (".yaml", "- name: a\n  sip_password: *SECRET", "line 2: this is not YAML"),
        (".yaml", "- name: a\n  sip_password: !SECRET x", "line 2: this is not YAML"),
        (".yaml", "a: [", "this is not YAML"),
        (".yaml", "- a: 2024-13-45", "line 1: this is not YAML"),
        (".yaml", "- \x07", "line 1: this is not YAML"),
        (".yaml", "name: SECRET", "line 1: this must be a list of trunks"),
        (".yaml", "", "line 1: this must be a list of trunks"),
        (".yaml", "- name: a\n  sip_password: 12345678", "sip_password must be text, not int"),
        (
            ".yaml",
            "- extra: {until: 2026-01-01}",
            "extra cannot be sent as JSON: an object of type date",
        ),
        (".yaml", "- extra: {tags: !!set {a, b}}", "an object of type set"),
        (".yaml", "- extra: {1: a}", "a key of type int"),
        (".yaml", "- extra: {x: .nan}", "nan in it"),
        (".json", r'[{"extra": {"x": "\ud800"}}]', "extra cannot be sent as JSON: it holds half"),
        (".json", '[{"extra": {"threshold": NaN}}]', "extra cannot be sent as JSON: nan in it"),
        (".json", r'[{"name": "\ud800"}]', "name holds half a character"),
        (".txt", "SECRET", "must end in .csv"),
        (".csv", "name,Name\nSECRET,SECRET", "line 1: name names two columns"),
        (".csv", "name,SECRET,SECRET\na,b,c", "line 1: a name names two columns"),
        (".json", '[{"name": "a"},\n{"name": "SECRET", "name": "b"}]', "line 2: name stands twice"),
        (".json", '[{"extra": {"SECRET": 1, "SECRET": 2}}]', "line 1: a name stands twice"),
        (".yaml", "- name: SECRET\n  name: b", "line 2: name stands twice"),
        (".yaml", "- extra:\n    SECRET: 1\n    SECRET: 2", "line 3: a name stands twice"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line_and_without_its_content(
    tmp_path: Path, ending: str, text: str, said: str
) -> None:
    refused = refusal(tmp_path, ending, text)
    assert said in refused
    assert "SECRET" not in refused


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        read_rows(tmp_path / "none.csv", NO_KEYS)
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UsageError, match="line 1: this is not UTF-8"):
        read_rows(tmp_path / "picture.csv", NO_KEYS)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_another_encoding_is_refused_with_the_way_to_save_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "trunks.csv").write_bytes(as_csv([row(name="Büro")]).encode(encoding))
    said = "UTF-16" if "16" in encoding else "line 2: this is not UTF-8"
    with pytest.raises(UsageError, match=rf"{said}.*CSV UTF-8") as refused:
        read_rows(tmp_path / "trunks.csv", NO_KEYS)
    assert (refused.value.__context__, refused.value.__cause__) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "Name;AI Provider;SIP Username;SIP-Password;openai_api_key;;\r\n"
        ";;;;;;\r\nFront;openai;front;s3cur3-password;sk;;\r\n;;;;;;\r\n",
        "name\tai_provider\tsip_username\tsip_password\topenai_api_key\n"
        "Front\topenai\tfront\ts3cur3-password\tsk\t\n\n",
        "name,ai_provider,sip_username,sip_password,openai_api_key,\n,,,,,\n"
        "Front,openai,front,s3cur3-password,sk,\n",
    ],
)
def test_what_spreadsheets_write_in_other_countries_is_read(tmp_path: Path, text: str) -> None:
    (made,) = read_rows(written(tmp_path, ".csv", text), NO_KEYS)
    assert made.spec == TrunkSpec.openai(
        "Front", sip_username="front", sip_password="s3cur3-password", api_key="sk"
    )


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("name", ["sip_password", "openai_api_key"])
def test_white_space_around_a_secret_is_a_fault_that_says_so(
    tmp_path: Path, ending: str, name: str
) -> None:
    said = refusal(tmp_path, ending, WRITERS[ending]([row(**{name: "SECRET-SECRET "})]))
    assert f"{name} has white space around it" in said
    assert "SECRET" not in said


SWAPPED = [
    row(sip_username="s3cret Pass!1"),
    row(sip_username="s3cretPass1"),
    row(sip_username="s3cretPass1"),
    row("x", ai_provider="sk-live-SECRETKEY"),
    row("y", custom_endpoint="s3cret://"),
    row("z", ai_provider="elevenlabs", elevenlabs_agent_id=""),
]


@pytest.mark.parametrize("ending", [".json", ".ndjson", ".yaml"])
def test_no_content_of_swapped_columns_stands_in_an_error(tmp_path: Path, ending: str) -> None:
    said = refusal(tmp_path, ending, WRITERS[ending](SWAPPED)).removeprefix(str(tmp_path))
    assert "4 rows" in said or "5 rows" in said
    assert "s3cret" not in said
    assert "sk-live" not in said


def test_a_long_unknown_name_is_not_shown(tmp_path: Path) -> None:
    assert "unknown field of 50 characters" in refusal(
        tmp_path, ".json", json.dumps([row() | {"s" * 50: 1}])
    )


BOMB = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize("text", [BOMB, "- &a [*a]", "- &a {name: b, extra: *a}"])
def test_a_yaml_file_that_grows_by_its_aliases_is_refused_at_once(
    tmp_path: Path, text: str
) -> None:
    assert "aliases (*) make it too large" in refusal(tmp_path, ".yaml", text)


def test_aliases_and_merges_of_common_fields_are_read(tmp_path: Path) -> None:
    text = """
- &first {name: Front, ai_provider: openai, sip_username: a, sip_password: s3cur3-password,
   openai_api_key: sk-1}
- <<: *first
  sip_username: b
"""
    first, second = read_rows(written(tmp_path, ".yaml", text), NO_KEYS)
    assert (first.spec.sip_username, second.spec.sip_username) == ("a", "b")
    assert second.spec.name == "Front"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("- name: a\n\tb: c", "indent by spaces"),
        ("- name: a: b", "a colon and a space needs quotes"),
        ("- name\n  b: c", "a colon and a space needs quotes"),
        ("- name: a\n  b\n  c: d", "a name needs a colon"),
        ("- name: *SECRET", r"begins with \* needs quotes"),
        ("- name: !SECRET", "begins with ! needs quotes"),
        ('- name: "SECRET\\q"', "write a backslash twice"),
        ('- name: "SECRET', "is not closed"),
        ("- name: @SECRET", "begins with @"),
        ("- name: *", r"begins with & or \*"),
        ("- {name: a", "is not closed"),
        ("- name: a\n b: c", "indented alike"),
        ("- name: a\n---\n- name: b", "no line ---"),
        ("- name: \x07", "a control character"),
        ("- " + "[" * 5000, "nested too deeply"),
        ("- name: 2026-13-45", "a date or number"),
        ("- name: a\n- &a\n- &a b\n? &", r"begins with \* & ! % @ or `|needs quotes|indented"),
    ],
)
def test_each_kind_of_yaml_fault_has_its_own_hint(tmp_path: Path, text: str, hint: str) -> None:
    said = refusal(tmp_path, ".yaml", text)
    assert re.search(hint, said), said
    assert "SECRET" not in said


@pytest.mark.parametrize("kind", WRITERS)
def test_standard_input_is_read_in_every_format(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def type_in(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode("utf-8-sig"))))

    type_in(WRITERS[kind]([row("front"), row("back")]))
    assert [r.spec.sip_username for r in read_rows(Path("-"), NO_KEYS)] == ["front", "back"]
    type_in(WRITERS[kind]([row("front"), row("front")]))
    with pytest.raises(UsageError, match="1 row of standard input has faults"):
        read_rows(Path("-"), NO_KEYS)
