"""CSV and TSV: tables of which a row is a song, and one column holds its text."""

import csv
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from itertools import islice

from charlstm.errors import CorpusError, Setting
from charlstm.text.formats.account import Account
from charlstm.text.formats.lines import LONGEST, in_blocks
from charlstm.text.formats.lrc import without_times
from charlstm.text.formats.names import listed, opening, plainly, texts_among, titles_among
from charlstm.text.songs import Opening

DELIMITERS = {"CSV": ",", "CSV with semicolons": ";", "TSV": "\t"}
"""What stands between the columns of each kind of table."""

# No text has this line, so whatever stands behind the last one shows whether a quote is open.
_AFTER_ALL = "\ufdd1\ufdd1end"
# A row that is not done is measured with what stands before it in a block, and less than this does.
_BEFORE = 1 << 23
# So many rows are parsed before any is handed on.
_ROWS = 64
# Whether a text is a table is seen from so many rows.
_TRIED = 60
_FEWEST_ROWS = 5
_LONGEST_NAME = 60

# How long a field may be is one number for the whole process: it is raised while rows are parsed,
# and is what it was when they are handed on.
_parsing = threading.RLock()
_NO_LIMIT = (1 << 31) - 1


@contextmanager
def _long_fields() -> Iterator[None]:
    with _parsing:
        before = csv.field_size_limit(_NO_LIMIT)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def read_table(
    pieces: Iterator[str], name: str, account: Account, *, delimiter: str, field: str | None
) -> Iterator[Opening | str]:
    """Yield a song for every row.

    Args:
        pieces: the text.
        name: of its file.
        account: counts the rows that cannot be read.
        delimiter: what stands between two columns.
        field: the name of the column with the text; one of the usual ones where ``None``.

    Raises:
        CorpusError: there is no such column, a quote is never closed, or a row is too long.
    """
    rows = _rows(pieces, name, delimiter)
    header = next((row for _, row in rows if any(row)), [])
    column = column_of(header, field)
    if column is None:
        raise _no_column(name, header, field)
    names = [*(_unique(header))]
    account.fields[names[column]] = 0
    for line, row in rows:
        if not any(cell and not cell.isspace() for cell in row):
            continue
        if len(row) <= column:
            account.leave_out("row with too few columns", line=line)
        elif any(row[len(header) :]):  # its text has delimiters without quotes, and is in parts
            account.leave_out("row with too many columns", line=line)
        elif not (text := without_times(row[column].strip("\n"), account)).strip():
            account.leave_out("row without text", line=line)
        else:
            account.fields[names[column]] += 1
            told = dict(zip(names, row, strict=False))
            del told[names[column]]
            yield opening(told, account)
            yield account.whole(text) + "\n"


def column_of(header: list[str], field: str | None) -> int | None:
    """Return which column has the text; ``None`` if none has."""
    if field is None:
        found = texts_among(tuple(header))
        return header.index(found[0]) if found else None
    for names in (header, list(map(plainly, header))):
        for wanted in (field, plainly(field)):
            if wanted in names:
                return names.index(wanted)
    return None


def table_kind(head: str, *, whole: bool, named: bool, field: str | None) -> str | None:
    """Return which kind of table a text is, see `DELIMITERS`; ``None`` if it is none.

    Args:
        head: its beginning.
        whole: whether that is all of it.
        named: whether it is called like a table.
        field: the column that is asked for, if one is.
    """
    for kind, delimiter in DELIMITERS.items():
        try:
            with _long_fields():
                rows = list(islice(csv.reader(StringIO(head), delimiter=delimiter), _TRIED))
        except csv.Error:
            continue
        if not whole and len(rows) < _TRIED:
            del rows[-1:]  # it goes on behind what is looked at
        rows = [row for row in rows if any(row)]
        if rows and _is_table(rows, kind, named=named, field=field, quoted='"' in head):
            return kind
    return None


def _is_table(
    rows: list[list[str]], kind: str, *, named: bool, field: str | None, quoted: bool
) -> bool:
    columns = len(rows[0])
    names = [name.strip() for name in rows[0]]
    like_names = all(len(name) <= _LONGEST_NAME and "\n" not in name for name in names)
    known = like_names and (column_of(rows[0], None), column_of(rows[0], field)) != (None, None)
    even = sum(1 for row in rows[1:] if len(row) == columns)
    if named and columns == 1:
        return known and kind == "CSV"
    if columns < 2 or not like_names:
        return False
    if named:
        return known or 2 * even >= len(rows) - 1
    # In a sentence a space follows the comma.
    spaced = sum(cell.startswith(" ") for row in rows for cell in row[1:])
    if known and len(set(map(plainly, names))) == columns and all(names):
        # A poem may begin with such words, but then its other lines have not as many commas.
        spoken = all(cell.startswith(" ") for cell in rows[0][1:])
        return not spoken and (2 * even >= len(rows) - 1 if even else quoted and len(rows) == 1)
    parted = sum(len(row) - 1 for row in rows)
    # Chords above their lines have tabs, and some poems commas: only quotes or a column of titles
    # make such a text a table.
    return (
        (quoted or bool(titles_among(tuple(rows[0]))))
        and columns >= (2 if kind == "TSV" else 3)
        and len(rows) >= _FEWEST_ROWS
        and even + 1 >= 0.9 * len(rows)
        and spaced <= 0.2 * parted
    )


def _rows(pieces: Iterator[str], name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield every row with the number of its first line."""
    lines = _Lines(pieces, name)
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        parsed: list[tuple[int, list[str]]] = []
        with _long_fields():
            try:
                for row in islice(reader, _ROWS):
                    if sum(map(len, row)) > LONGEST:
                        raise lines.too_long()
                    parsed.append((lines.begun + 1, row))
                    lines.begin(reader.line_num)
            except csv.Error as error:
                raise CorpusError(
                    f"{name} is a table that cannot be read in line {reader.line_num:,}: {error}."
                ) from None
        if not parsed:
            return
        line, last = parsed[-1]
        if last and last[-1].endswith(_AFTER_ALL):
            if last != [_AFTER_ALL]:
                raise CorpusError(
                    f"{name} is a table in which a quote is opened and never closed, in the row "
                    f"that begins in line {line:,}: close it there."
                )
            yield from parsed[:-1]
            return
        yield from parsed


class _Lines:
    """The lines of a table for the parser, which must not be fed a row without end.

    Attributes:
        begun: how many lines came before the row that is parsed.
    """

    def __init__(self, pieces: Iterator[str], name: str) -> None:
        self.begun = 0
        self._name = name
        self._size = 0
        self._lines = self._all(pieces)

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def begin(self, line: int) -> None:
        """Begin a row after so many lines."""
        self.begun, self._size = line, 0

    def too_long(self) -> CorpusError:
        """Return an error about the row that is parsed."""
        return CorpusError(
            f"{self._name} is a table with a row of more than {LONGEST:,} characters, which begins "
            f"in line {self.begun + 1:,}: a quote may be missing there."
        )

    def _all(self, pieces: Iterator[str]) -> Iterator[str]:
        last = "\n"
        for block in in_blocks(pieces, self._name):
            last = block[-1:]
            if self._size > LONGEST + _BEFORE:
                raise self.too_long()
            yield from StringIO(block)
            self._size += len(block)
        if last != "\n":
            yield "\n"
        yield _AFTER_ALL


def _unique(header: list[str]) -> Iterator[str]:
    """Yield the names of columns, those that come again or are empty with a number."""
    seen: set[str] = set()
    for number, column in enumerate(header, start=1):
        name = column.strip("\ufeff \t") or f"column {number}"
        name = name if name not in seen else f"{name} {number}"
        seen.add(name)
        yield name


def _no_column(name: str, header: list[str], field: str | None) -> CorpusError:
    wanted = "whose name says that it has the text" if field is None else f"called {field}"
    return CorpusError(
        f"{name} is a table without a column {wanted}. Its first row has: {listed(header)}. Say "
        "which one it is with ",
        Setting("field"),
        ", or save the words as plain text.",
    )
