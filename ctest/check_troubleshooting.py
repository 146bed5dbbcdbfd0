#!/usr/bin/env python3
"""Fails where a program can print an error that docs/troubleshooting.md does not explain.

Errors are read from the sources: what is thrown as InputError, EnvironmentRefused or CannotTime, what
`derate check` lists as a violation, and what the shell scripts refuse. The words of a message, in
their order, must stand in one code span of the page ("..." there stands for what varies). A message whose
problem has no words of its own ("got 7", the system's reason) is found by what is required, the
text in brackets behind it.

usage: check_troubleshooting.py ROOT
"""

import pathlib
import re
import sys

TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>\w*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|\w+|\S', re.S)

# Name of a call -> place of the problem and of what is required among its arguments.
THROWN = {"InputError": (1, 2), "EnvironmentRefused": (1, 2), "CannotTime": (0, None)}
HELPERS = {
    "workloads/graph_elements.cpp": {"refuse": (0, 1)},
    "workloads/graph_reader.cpp": {"refuse": (0, 1)},
    "workloads/graph_tensors.cpp": {"refuse": (0, 1)},
    "workloads/node_shapes.cpp": {"refuse": (1, 2)},
    "workloads/pickle.cpp": {"refuse": (0, None)},
    "storage/calibration_rules.cpp": {"require": (2, 3)},
    "core/evidence.cpp": {"push_back": (0, None)},
}
JSON_HELPERS = {"fail": (1, 2), "push_back": (1, 2)}
LEFT_OUT = re.compile(r"(^|/)(build|testdata|validation_tests)/|_(test|benchmark)\.cpp$")


def tokens_of(text):
    """(token, line), comments left out."""
    return [(match.group(), text.count("\n", 0, match.start()) + 1)
            for match in TOKEN.finditer(text) if not match.group().startswith(("//", "/*"))]


def arguments_of(tokens, opening):
    """Token lists of the arguments of the call whose bracket is tokens[opening]."""
    depth, arguments = 0, [[]]
    for token, _ in tokens[opening:]:
        if token in ("(", "{", "["):
            depth += 1
            if depth == 1:
                continue
        elif token in (")", "}", "]"):
            depth -= 1
            if depth == 0:
                break
        if token == "," and depth == 1:
            arguments.append([])
        else:
            arguments[-1].append(token)
    return arguments


def messages_of(expression):
    """The words of an expression as lists of fragments; one list for each branch of a condition.

    Literals count where they are joined to the text: bare, in std::string{...}, in .append(...), or as
    the format of fmt::format(...), whose fields vary.
    """
    branches, inside = [[]], []
    for i, token in enumerate(expression):
        if token in ("(", "{", "["):
            inside.append(expression[i - 1] if i > 0 else "")
        elif token in (")", "}", "]"):
            inside.pop()
        elif token in ("?", ":") and not inside and ":" not in (expression[i - 1], *expression[i + 1:i + 2]):
            branches = [[]] if token == "?" else [*branches, []]
        elif token.startswith('"') and all(word in ("string", "append", "format") for word in inside):
            if "format" not in inside:
                branches[-1].append(unescaped(token))
            elif expression[i - 1] == "(" or expression[i - 1].startswith('"'):
                branches[-1].extend(re.split(r"\{[^{}]*\}", unescaped(token)))
    return branches


def unescaped(literal):
    return literal[1:-1].encode().decode("unicode_escape")


def says_something(fragments):
    words = re.findall(r"[A-Za-z-]{2,}", " ".join(fragments))
    return bool([word for word in words if word not in ("got", "is", "has", "expected")])


def sites_of(file, name):
    """(line, fragments) of each message that a file can print."""
    tokens = tokens_of(file.read_text())
    calls = dict(THROWN)
    if name.startswith("storage/"):
        calls.update(JSON_HELPERS)
    calls.update(HELPERS.get(name, {}))
    for i in range(len(tokens) - 1):
        token, line = tokens[i]
        if token not in calls or tokens[i + 1][0] not in ("(", "{"):
            continue
        problem, required = calls[token]
        opening = i + 1
        if token == "push_back":
            collected = tokens[i - 2][0] if i > 1 else ""
            if collected not in ("violations", "broken"):
                continue
            if tokens[i + 2][0] == "{":
                opening = i + 2
            elif problem > 0:
                continue
        arguments = arguments_of(tokens, opening)
        if problem >= len(arguments):
            continue
        for fragments in messages_of(arguments[problem]):
            if says_something(fragments):
                yield line, fragments
            elif required is not None and required < len(arguments):
                for wanted in messages_of(arguments[required]):
                    if says_something(wanted):
                        yield line, wanted



def shell_sites_of(file):
    for number, line in enumerate(file.read_text().splitlines(), 1):
        match = re.search(r'\b(?:fail|refuse) "((?:[^"\\]|\\.)*)"', line)
        if match:
            yield number, [part for part in re.split(r"\$\(\([^)]*\)\)|\$\([^)]*\)|\$\{[^}]*\}|\$\w+", match.group(1)) if part.strip()]


def pattern_of(fragments):
    words = [part.replace("`", "").strip(" :") for part in fragments]
    parts = [re.escape(part) for part in words if part]
    return re.compile(".*".join(parts))


def main():
    root = pathlib.Path(sys.argv[1])
    page = (root / "docs/troubleshooting.md").read_text()
    spans = [span.replace("\\|", "|") for span in re.findall(r"``?([^`\n]+)`", page)]
    count, missing = 0, []
    files = [(file, sites_of(file, str(file.relative_to(root)))) for file in sorted(root.rglob("*.[ch]pp"))
             if not LEFT_OUT.search(str(file.relative_to(root)))]
    files += [(file, shell_sites_of(file)) for file in [root / "derate", *sorted((root / "cmake").glob("*.sh"))]]
    for file, sites in files:
        for line, fragments in sites:
            count += 1
            if not any(pattern_of(fragments).search(span) for span in spans):
                missing.append(f"{file.relative_to(root)}:{line}: {'...'.join(fragments)}")
    print("\n".join(missing))
    print(f"{count} error messages in the sources, {len(missing)} of them not in docs/troubleshooting.md")
    sys.exit(1 if missing or count < 100 else 0)


if __name__ == "__main__":
    main()
