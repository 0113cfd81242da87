"""Tables in a narrow terminal: no number is broken over two lines.

A table that is too wide loses its frame. If that is not enough, its columns are divided among several tables, each of
which begins with the columns that name the rows; and one whose rows are records becomes a list of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

RECORDS = 120
"""Columns of a terminal that a table of records needs to be one."""


class KeyedTable(Table):
    """A table that knows how many of its columns name the rows. With `records`, each row is a record of long texts."""

    def __init__(self, *, keys: int = 1, records: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.keys = keys
        self.records = records


def fitted(table: Table, console: Console) -> Iterator[RenderableType]:
    """What to print of a table, so that it fits into the width of the console as far as its words allow."""
    if getattr(table, "records", False):
        yield from [table] if console.width >= RECORDS else _records(table)
        return
    if _fits(table, console):
        yield table
        return
    keys, columns = getattr(table, "keys", 1), table.columns
    part: list[Column] = list(columns[:keys])
    for column in columns[keys:]:
        if len(part) > keys and _plain_width([*part, column]) > console.width:
            yield _plain(table, part)
            part = list(columns[:keys])
        part.append(column)
    yield _plain(table, part)


def _fits(table: Table, console: Console) -> bool:
    """Whether a table with a frame fits: a border and two blanks a column, and one more border."""
    needs = (max(_cells_width(column), _text_width(str(column.header), column)) for column in table.columns)
    return sum(need + 3 for need in needs) + 1 <= console.width


def _plain_width(columns: Sequence[Column]) -> int:
    """Of a table of these columns without a frame: two blanks between them."""
    return sum(_plain_need(column) + 2 for column in columns)


def _plain_need(column: Column) -> int:
    return max(_cells_width(column), *(cell_len(word) for word in str(column.header).split() or [""]))


def _cells_width(column: Column) -> int:
    return max((_text_width(str(cell), column) for cell in column.cells), default=0)


def _text_width(text: str, column: Column) -> int:
    """What a text takes in a column: all of it, or its longest word where it may be wrapped."""
    return max((cell_len(part) for part in ([text] if column.no_wrap else text.split())), default=0)


def _plain(table: Table, columns: Sequence[Column]) -> Table:
    """Some columns of a table, without a frame, their headings over as many lines as they need."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title=table.title, title_justify="left")
    for column in columns:
        heading = _folded(str(column.header), _cells_width(column)) if column.no_wrap else column.header
        made.add_column(heading, justify=column.justify, no_wrap=column.no_wrap, min_width=_plain_need(column))
    cells = [list(column.cells) for column in columns]
    for place, row in enumerate(table.rows):
        made.add_row(*(own[place] for own in cells), end_section=row.end_section)
    return made


def _folded(heading: str, width: int) -> str:
    """A heading with line ends at its blanks, so that it makes a column no wider than a word of it does."""
    lines: list[str] = []
    for word in heading.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


def _records(table: Table) -> Iterator[RenderableType]:
    """Each row as a block: its first cell, and below it the others with their headings."""
    if table.title:
        yield Text(str(table.title), style="bold")
    names = [str(column.header) for column in table.columns]
    for place in range(table.row_count):
        first, *others = (str(list(column.cells)[place]) for column in table.columns)
        block = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
        block.add_column(no_wrap=True, style="dim")
        block.add_column(overflow="fold")
        for name, cell in zip(names[1:], others, strict=True):
            block.add_row(f"  {name}", cell)
        yield Text(first)
        yield block
        yield Text("")
