#!/usr/bin/env python3
"""Fails where a file of the tree points to a file that is not there.

Three kinds of pointer are read: paths of pages in docs/ anywhere in sources and pages; a relative link of a
Markdown page, with its heading if it names one; a path in a page's `code span` that begins with a
folder of the tree.

usage: check_references.py ROOT
"""

import pathlib
import re
import sys

SOURCES = {".cpp", ".hpp", ".cu", ".py", ".sh", ".cmake", ".txt", ".in", ".json", ".md", ".html", ""}
LEFT_OUT = {"build", "staged", "testdata", "models", "cpu", "gpu"}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
PAGE = re.compile(r"\bdocs/[\w./-]*\.md\b")


def files_of(root):
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") for part in parts)
        if not hidden and not LEFT_OUT & set(parts) and path.suffix in SOURCES and path.is_file():
            yield path


def headings_of(page):
    """Names by which links reach the headings of a page, as code hosts make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    for heading in re.findall(r"^#+ +(.*)$", text, flags=re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def without_blocks(text):
    """The text with the lines of fenced blocks emptied, so that line numbers stay."""
    return re.sub(r"^```.*?^```", lambda block: "\n" * block.group().count("\n"), text, flags=re.S | re.M)


def dead_links(page, text):
    for match in LINK.finditer(text):
        target, _, heading = match.group(1).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = page.parent / target if target else page
        if not file.exists():
            yield match.start(), f"link to {target}, which is not there"
        elif heading and heading not in headings_of(file):
            yield match.start(), f"link to {target}#{heading}, a heading that is not there"


def dead_spans(root, folders, text):
    for match in SPAN.finditer(text):
        path = match.group(1)
        if path.split("/")[0] in folders and "/" in path and re.fullmatch(r"[\w./-]+", path):
            if not (root / path).exists() and not (root / f"{path}.hpp").exists():
                yield match.start(), f"{path} is not there"


def dead_pages(root, text):
    for match in PAGE.finditer(text):
        if not (root / match.group()).exists():
            yield match.start(), f"{match.group()} is not there"


def main():
    root = pathlib.Path(sys.argv[1])
    folders = {path.name for path in root.iterdir() if path.is_dir()} - LEFT_OUT
    count, dead = 0, []
    for file in files_of(root):
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        count += 1
        found = list(dead_pages(root, text))
        if file.suffix == ".md":
            prose = without_blocks(text)
            found += dead_links(file, prose)
            found += dead_spans(root, folders, prose)
        dead += [f"{file.relative_to(root)}:{text.count(chr(10), 0, at) + 1}: {what}" for at, what in found]
    print("\n".join(sorted(set(dead))))
    print(f"{count} files read, {len(set(dead))} dead references")
    sys.exit(1 if dead or count == 0 else 0)


if __name__ == "__main__":
    main()
