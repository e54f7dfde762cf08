"""What the site shows of the repository outside ``docs/``.

The pages are read in two places: on the site, and where the repository is shown. Their links are
those of the repository. For the site, the pages at the top of the repository join those of
``docs/``, the README as its first page, and a link to any other file outside becomes plain text,
because the site does not have that file.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

TOP = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
}
"""The pages at the top of the repository, and what they are on the site."""

_LINK = re.compile(
    r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]+)(?P<part>#[^)\s]*)?\)"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages at the top of the repository; called by MkDocs."""
    root = Path(config.docs_dir).parent
    for name, uri in TOP.items():
        text = (root / name).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the repository's links into the site's; called by MkDocs."""
    pages = {uri: name for name, uri in TOP.items()}
    uri = page.file.src_uri
    folder = posixpath.dirname(pages.get(uri, f"docs/{uri}"))
    return _LINK.sub(lambda link: linked(link, folder, uri), markdown)


def linked(link: re.Match[str], folder: str, uri: str) -> str:
    """Return one link of the repository as the site has it.

    Args:
        link: what was found by the pattern of links.
        folder: where the page is in the repository.
        uri: where the page is on the site.
    """
    target = link["target"]
    if ":" in target or target.startswith("/"):
        return link[0]
    path = posixpath.normpath(posixpath.join(folder, target))
    if path in TOP:
        path = TOP[path]
    elif path.startswith("docs/"):
        path = path.removeprefix("docs/")
    else:
        return link["text"]
    relative = posixpath.relpath(path, posixpath.dirname(uri) or ".")
    return f"{link['picture']}[{link['text']}]({relative}{link['part'] or ''})"
