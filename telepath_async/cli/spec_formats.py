"""CSV, JSON, NDJSON and YAML -> the fields of each trunk, with the line at which it begins.

A parser's own message may quote the file, and passwords stand in it: a fault here gives the line
and the rule, and no content.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from telepath_async import TrunkSpec

if TYPE_CHECKING:
    from yaml import MappingNode, Node

Numbered: TypeAlias = Iterator[tuple[int, Any]]

FIELDS: Final = tuple(field.name for field in attrs.fields(TrunkSpec))
_BEYOND: Final = "(a column without a name)"
_WHITE: Final = re.compile(r"\s*")
_MOST_YAML_NODES: Final = 1_000_000  # some 50,000 trunks; aliases count each time
_YAML_HINTS: Final = (
    ("'\\t'", "indent by spaces, not by tabs"),
    ("mapping values are not allowed", "a text that holds a colon and a space needs quotes"),
    (
        "could not find expected ':'",
        "a name needs a colon and a space after it",
    ),
    ("undefined alias", "a text that begins with * needs quotes"),
    ("could not determine a constructor", "a text that begins with ! needs quotes"),
    ("found unknown escape", "inside double quotes, write a backslash twice"),
    ("unexpected end of stream", "a quote or a bracket is not closed"),
    ("cannot start any token", "a text that begins with @ ` or % needs quotes"),
    ("expected alphabetic or numeric", "a text that begins with & or * needs quotes"),
    ("expected ',' or", "a bracket or brace is not closed, or a comma is missing"),
    ("expected <block end>", "the entries of one trunk must be indented alike"),
    (
        "expected a single document",
        "no line --- may stand between trunks; begin each by a dash",
    ),
    ("special characters are not allowed", "it holds a control character"),
)


class Damaged(Exception):
    """The file is not of the kind that its name ends in."""


def read_csv(text: str) -> Numbered:
    """Give the rows under a header, as Excel writes them in any country."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=_delimiter(text))
    names: list[str] | None = None
    following = 1
    try:
        for cells in reader:
            line, following = following, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if names is None:
                names = _header(cells, line)
            else:
                yield line, _named(names, cells)
    except csv.Error:
        raise Damaged(f"line {following}: this is not CSV; look at the quotes") from None


def _delimiter(text: str) -> str:
    first = next(iter(text.strip().splitlines()), "")
    return max(",;\t", key=first.count)


def _header(cells: Sequence[str], line: int) -> list[str]:
    names = [re.sub(r"[\s-]+", "_", cell.strip()).lower() for cell in cells]
    if not set(names) & set(FIELDS):
        # A trunk, most likely, and its password would be called an unknown field.
        raise Damaged(
            f"line {line}: this must name the columns, with commas or semicolons between them: "
            "name,ai_provider,…"
        )
    for name, times in Counter(filter(None, names)).items():
        if times > 1:
            raise Damaged(f"line {line}: {_shown(name)} names two columns; delete one of them")
    return names


def _named(names: Sequence[str], cells: Sequence[str]) -> dict[str, str | None]:
    fields: dict[str, str | None] = {}
    for index, cell in enumerate(cells):
        name = names[index] if index < len(names) else ""
        if name:
            fields[name] = cell or None
        elif cell.strip():
            fields[_BEYOND] = cell
    return fields


def read_json(text: str) -> Numbered:
    """Give the values of an array, or a value a line: one by one, so that each has its line."""
    decode = json.JSONDecoder(object_pairs_hook=_once).raw_decode
    end, inside = len(text.rstrip()), text.lstrip().startswith("[")
    index, line, seen = _after(text, 0, "[" if inside else ""), 1, 0
    while index < end and not (inside and text[index] == "]"):
        line, seen = line + text.count("\n", seen, index), index
        try:
            value, after = decode(text, index)
        except _Twice as twice:
            raise Damaged(f"line {line}: {twice} stands twice in one trunk") from None
        except (ValueError, RecursionError) as error:
            raise _damaged_json(text, getattr(error, "pos", index)) from None
        yield line, value
        index = _after(text, after, "," if inside else "")
    if inside and index != end - 1:  # the bracket that closes it
        raise _damaged_json(text, index)


class _Twice(Exception):
    """A name stands twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _Twice(_shown(name))
    return fields


def _after(text: str, index: int, mark: str) -> int:
    """Return the next index after white space, one `mark`, and white space."""
    index = _after_white(text, index)
    if mark and text.startswith(mark, index):
        index = _after_white(text, index + len(mark))
    return index


def _after_white(text: str, index: int) -> int:
    return _WHITE.match(text, index).end()  # type: ignore[union-attr]  # it matches anything


def _damaged_json(text: str, index: int) -> Damaged:
    line = text.count("\n", 0, index) + 1
    return Damaged(f"line {line}: this is not JSON; look at the commas, quotes and brackets")


def read_yaml(text: str) -> Numbered:
    """Give the values of a list."""
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.SequenceNode):
            raise Damaged("line 1: this must be a list of trunks, each begun by a dash")
        _check_nodes(node)
        for child in node.value:
            yield child.start_mark.line + 1, loader.construct_object(child, deep=True)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        raise Damaged(f"line {line}: this is not YAML; {_yaml_hint(error)}") from None


def _yaml_hint(error: Exception) -> str:
    message = str(error)
    if isinstance(error, ValueError):
        return "a date or number that does not exist needs quotes"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return next(
        (hint for words, hint in _YAML_HINTS if words in message),
        "a text that begins with * & ! % @ or ` needs quotes",
    )


def _check_nodes(root: Node) -> None:
    """Refuse names that stand twice, and aliases that make a small text large."""
    from yaml import MappingNode, ScalarNode

    sizes: dict[int, int] = {}

    def size(node: Node) -> int:
        if isinstance(node, ScalarNode):
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = _MOST_YAML_NODES  # of a node that holds itself
            parts = node.value
            if isinstance(node, MappingNode):
                _check_names(node)
                parts = [part for pair in node.value for part in pair]
            sizes[id(node)] = min(1 + sum(map(size, parts)), _MOST_YAML_NODES)
        return sizes[id(node)]

    if size(root) >= _MOST_YAML_NODES:
        raise Damaged("line 1: its aliases (*) make it too large; write the trunks out")


def _check_names(node: MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for name, _ in node.value:
        key = (name.tag, str(name.value))
        if key in seen:
            line = name.start_mark.line + 1
            raise Damaged(f"line {line}: {_shown(key[1])} stands twice in one trunk")
        seen.add(key)


def _shown(name: str) -> str:
    """Return a field's name, and nothing that may be the content of a file."""
    return name if name in FIELDS else "a name"


READERS: Final[dict[str, Callable[[str], Numbered]]] = {
    ".csv": read_csv,
    ".json": read_json,
    ".ndjson": read_json,
    ".jsonl": read_json,
    ".yaml": read_yaml,
    ".yml": read_yaml,
}
