"""Tables in a narrow terminal: no number is broken over two lines.

A table that is too wide loses its frame. If that is not enough, its columns are divided among several tables, each of
which begins with the columns that name the rows; and one whose rows are records becomes a list of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
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
    shared: list[Column] = list(columns[:keys])
    part = list(shared)
    for column in columns[keys:]:
        wider = [*part, column]
        if len(part) > len(shared) and not _fits(_plain(table, wider), console):
            yield _plain(table, part)
            part = list(shared)
        part.append(column)
    yield _plain(table, part)


def _fits(table: Table, console: Console) -> bool:
    return Measurement.get(console, console.options.update(max_width=10_000), table).minimum <= console.width


def _plain(table: Table, columns: Sequence[Column]) -> Table:
    """Some columns of a table, without a frame, their headings over as many lines as they need."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), title=table.title, title_justify="left")
    for column in columns:
        width = max((len(str(cell)) for cell in column.cells), default=0)
        heading = _folded(str(column.header), width) if column.no_wrap else column.header
        made.add_column(heading, justify=column.justify, no_wrap=column.no_wrap)
    for place, row in enumerate(table.rows):
        made.add_row(*(list(column.cells)[place] for column in columns), end_section=row.end_section)
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
