"""Word documents (.docx): paragraphs are lines, and a heading of the first order is a title."""

import zipfile
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

from charlstm.errors import CorpusError, MissingLibraryError
from charlstm.text.formats.account import Account
from charlstm.text.songs import Opening

if TYPE_CHECKING:
    from docx.document import Document

# A document is held in memory, and unpacked there.
_LARGEST, _LARGEST_XML = 1 << 28, 1 << 26
# The style of a title, and those of a list of titles.
_TITLE, _CONTENTS = "Heading 1", "toc "
_CHARACTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def read_word(data: Iterable[bytes], name: str, account: Account) -> Iterator[Opening | str]:
    """Yield the lines of a document; a song begins at each heading of the first order.

    Without such headings it is one text, whose songs are told apart as those of plain text.

    Args:
        data: the bytes of the file.
        name: of it.
        account: counts what cannot be in a text.

    Raises:
        CorpusError: it is damaged, or too large.
        MissingLibraryError: ``charlstm[word]`` is not installed.
    """
    document = _opened(_whole(data, name), name)
    lines: list[str] = []
    for style, text in _paragraphs(document, name, account):
        if style == _TITLE and text.strip():
            yield from _text(lines, account)
            lines = []
            yield Opening(account.whole(" ".join(text.split())))
        else:
            lines.append(text)
    yield from _text(lines, account)


def _text(lines: list[str], account: Account) -> Iterator[str]:
    text = "\n".join(lines)
    if text.strip():
        yield account.whole(text.strip("\n")) + "\n"


def _whole(data: Iterable[bytes], name: str) -> bytes:
    parts, size = [], 0
    for piece in data:
        size += len(piece)
        if size > _LARGEST:
            raise _too_large(name)
        parts.append(piece)
    return b"".join(parts)


def _opened(data: bytes, name: str) -> "Document":
    try:
        import docx
    except ImportError:
        raise MissingLibraryError(
            f"{name} is a Word document, which needs python-docx, and that is not installed: "
            "pip install 'charlstm[word]', or save the document as plain text (UTF-8)."
        ) from None
    try:
        with zipfile.ZipFile(BytesIO(data)) as packed:
            unpacked = sum(one.file_size for one in packed.infolist())
            largest = max(
                (one.file_size for one in packed.infolist() if one.filename.endswith(".xml")),
                default=0,
            )
        if largest <= _LARGEST_XML and unpacked <= _LARGEST:
            return docx.Document(BytesIO(data))
    except Exception as error:  # of zip, of XML, and of what the one is to have in the other
        raise _damaged(name, error) from None
    raise _too_large(name)


def _paragraphs(document: "Document", name: str, account: Account) -> Iterator[tuple[str, str]]:
    """Yield the style and the text of each paragraph, those in tables too."""
    from docx.text.paragraph import Paragraph

    try:
        body = document.element.body
        account.leave_out("picture", len(body.xpath(".//pic:pic")))
        # What is drawn twice, for older programs as well, is told once.
        older = "ancestor::*[local-name()='Fallback']"
        account.leave_out("text box", len(body.xpath(f".//w:txbxContent[not({older})]")))
        for element in body.xpath(".//w:p[not(ancestor::w:txbxContent)]"):
            style = Paragraph(element, document).style
            called = (style.name if style is not None else None) or ""
            if called.startswith(_CONTENTS):
                account.leave_out("contents line")
            else:
                yield called, _told(element)
    except Exception as error:
        raise _damaged(name, error) from None


def _told(paragraph: Any) -> str:
    """Return the text of a paragraph: also what is a link, or was inserted while changes show."""
    parts = []
    for run in paragraph.xpath(".//w:r[not(ancestor::w:txbxContent)]"):
        for part in run:
            kind = part.tag.rpartition("}")[2]
            if kind == "t":
                parts.append(part.text or "")
            elif kind in _CHARACTERS:
                parts.append(_CHARACTERS[kind])
    return "".join(parts)


def _damaged(name: str, error: Exception) -> CorpusError:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return CorpusError(
        f"{name} is a Word document that cannot be read ({reason}): it is damaged. Save it again, "
        "or its words as plain text (UTF-8)."
    )


def _too_large(name: str) -> CorpusError:
    return CorpusError(
        f"{name} is a Word document too large to be read: save its words as plain text (UTF-8)."
    )
