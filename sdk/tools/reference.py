#!/usr/bin/env python3
"""The reference of the SDK from the comments of its headers: reference.py INCLUDE_DIR OUT.html

A comment belongs to what follows it, up to a blank line or the next comment, or to what stands before it on its line.
`/* ---- x ---- */` begins a section. With --check it says what has no words of its own and ends with 1 if a function is
among them. SPDX-License-Identifier: MIT"""
import html, os, re, sys

TOKEN = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\])*"|#(?:\\\n|[^\n])*|[A-Za-z_]\w*|\n|[^\S\n]+|.', re.S)
ORDER = ["abi", "plugin", "host", "event", "declare", "command", "catalog", "object", "scu"]  # then the capabilities by name


def words(comment):
    """The text of a comment without its frame; lines joined as they were meant."""
    body = comment[2:-2].strip()
    return re.sub(r"\s+", " ", re.sub(r"\n\s*\*(?!\S*\*)", "\n", body)).strip()


class Item:
    def __init__(self, name, text, doc, kind):
        self.name, self.kind, self.doc = name, kind, doc
        self.text = re.sub(r"\s+", " ", text).strip()
        self.members = []


def is_section(comment):
    return re.match(r"/\*\s*-{3,}.*-{3,}\s*\*/$", comment, re.S)


def named(text):
    """What a declaration declares: `hilum_rc (*f)(...)` f; `const char *a, *b` a and b; `char vr[3]` vr."""
    function = re.search(r"\(\s*\*\s*(?:const\s+)?(\w+)\s*\)\s*\(", text)
    if function:
        return [function.group(1)], True
    parts = text.split(",")
    return [re.search(r"(\w+)\s*(?:\[[^\]]*\]\s*)*$", part.strip()).group(1) for part in parts], False


class Body:
    """Members of a struct or enumerators, with their comments."""

    def __init__(self, owner, end_of_one):
        self.owner, self.end, self.text, self.doc = owner, end_of_one, "", ""
        self.depth = self.newlines = 0
        self.last, self.is_shared = [], False

    def close_one(self):
        text, self.text = self.text.strip(), ""
        if not text:
            return
        if self.end == ",":
            names, kind = [re.match(r"\w+", text).group(0)], "value"
        else:
            names, is_function = named(text)
            kind = "function" if is_function else "member"
        self.last = [Item(name, text, self.doc, kind if name == names[0] else "also") for name in names]
        self.owner.members += self.last
        self.newlines, self.is_shared = 0, True

    def take(self, token):
        if token.startswith("/*"):
            self.comment(token)
        elif token == "\n":
            self.newlines += 1
            if self.newlines > 1 and not self.text.strip():
                self.doc, self.last = "", []
        elif token == self.end and self.depth == 0:
            self.close_one()
        else:
            self.depth += token.count("(") - token.count(")")
            if token.strip():
                self.is_shared = False
            self.text += token

    def comment(self, token):
        if is_section(token):
            self.owner.members.append(Item("", "", words(token).strip("- "), "section"))
            self.doc, self.last = "", []
        elif self.end == "," and self.text.strip() and self.newlines == 0:
            self.doc = words(token)  # of the last enumerator, which has no comma
            self.close_one()
            self.doc = ""
        elif self.last and self.newlines == 0 and not self.text.strip():
            for item in self.last:  # on its line; a note of its own does not speak for its neighbours
                item.doc = words(token)
            self.doc = ""
        elif "append here" not in token:
            self.doc, self.last = words(token), []
        self.newlines = 0


def parse(path):
    """(what the header says of itself, its items)"""
    items, doc, head, text, body, newlines = [], "", None, "", None, 0
    for token in TOKEN.findall(open(path, encoding="utf-8").read()):
        if body:
            if token == "}" and body.depth == 0:
                body.close_one()
                body = None
                text = "}"
            else:
                body.take(token)
        elif token.startswith("/*"):
            if head is None:
                head = words(token)
            elif text == "" and items and items[-1].kind in ("macro", "enum") and not items[-1].doc and newlines == 0:
                items[-1].doc = words(token)
            else:
                doc = words(token)
            newlines = 0
        elif token.startswith("#"):
            macro = re.match(r"#\s*define\s+(HILUM_\w+)(\([^)]*\))?(?:[\s\\]+)(.*)", token, re.S)
            if macro and not macro.group(1).endswith("_H"):
                value, comment = re.match(r"(.*?)(/\*.*)?$", macro.group(3), re.S).groups()
                items.append(Item(macro.group(1), f"#define {macro.group(1)}{macro.group(2) or ''} {value}",
                                  words(comment) if comment else doc, "macro"))
            newlines = 0
        elif token == "\n":
            newlines = newlines + 1 if not text.strip() else 0
            if newlines > 1:
                doc = ""
            text += " " if text.strip() else ""
        elif token == "{" and re.match(r"\s*(struct|enum)\b", text):
            kind, name = re.match(r"\s*(struct|enum)\s*(\w*)", text).groups()
            items.append(Item(name, f"{kind} {name}".strip(), doc, kind))
            body, doc, text = Body(items[-1], "," if kind == "enum" else ";"), "", ""
        elif token in "{}" and (text.strip().startswith("extern") or token == "}"):
            text = ""  # extern "C"
        elif token == ";":
            declared = text.strip().strip("}").strip()
            if re.match(r"typedef|HILUM_EXPORT", declared):
                function = re.search(r"\(\s*\*\s*(\w+)\s*\)|(\w+)\s*\([^()]*\)$", declared)
                name = (function.group(1) or function.group(2)) if function else re.search(r"(\w+)$", declared).group(1)
                items.append(Item(name, declared, doc, "typedef" if declared.startswith("typedef") else "call"))
                doc = ""
            text, newlines = "", 0
        else:
            text += token
    return head, items


def order(name):
    return (ORDER.index(name), "") if name in ORDER else (len(ORDER), name)


def anchor(header, item, member=None):
    return ".".join(part for part in (header, item.name, member and member.name) if part)


def write_item(out, header, item):
    e = html.escape
    title = item.text if item.kind in ("struct", "enum") else item.name
    name = f' id="{anchor(header, item)}"' if item.name else ""
    out.append(f'<section{name}><h3>{e(title if title.strip() != "enum" else "values")}</h3>')
    if item.doc:
        out.append(f"<p>{e(item.doc)}</p>")
    if item.kind in ("macro", "typedef", "call"):
        out.append(f"<pre>{e(item.text)}</pre>")
    if item.members:
        out.append("<dl>")
    for m in item.members:
        if m.kind == "section":
            out.append(f"</dl><h4>{e(m.doc)}</h4><dl>")
            continue
        if m.kind == "also":  # declared with the one before
            out[-1] = out[-1].replace("</dd>", f'<a id="{anchor(header, item, m)}"></a></dd>')
            continue
        out.append(f'<dt id="{anchor(header, item, m)}"><code>{e(m.text)}</code></dt><dd>{e(m.doc)}</dd>')
    out.append(("</dl>" if item.members else "") + "</section>")


STYLE = """body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}code,pre{font-family:monospace;font-size:14px}
dt{margin-top:.8em}dd{margin-left:2em;color:#333}pre{background:#f4f4f4;padding:.5em;overflow:auto}h2{border-top:2px solid #888;padding-top:.5em}
nav li{display:inline-block;margin-right:1em}"""


def write(headers, out_path, version):
    out = [f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Hilum SDK {version}</title><style>{STYLE}</style>',
           f"<h1>Hilum SDK, ABI {version}</h1><p>Made of the comments of the headers. How to begin: README.md; what may change: "
           "VERSIONING.md.</p><nav><ul>"]
    out += [f'<li><a href="#{name}">{name}.h</a></li>' for name in headers]
    out.append("</ul></nav>")
    for name, (head, items) in headers.items():
        out.append(f'<h2 id="{name}">hilum/{name}.h</h2><p>{html.escape(head.replace("SPDX-License-Identifier: MIT", "").strip())}</p>')
        for item in items:
            write_item(out, name, item)
    with open(out_path, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n</html>\n")


def check(headers):
    """Functions without a word, and structs; members of plain data may be told by their struct."""
    bad = [f"hilum/{h}.h: {i.name}.{m.name}: a function without a comment" for h, (_, items) in headers.items()
           for i in items for m in i.members if m.kind == "function" and not m.doc]
    bad += [f"hilum/{h}.h: {i.text}: no comment" for h, (_, items) in headers.items() for i in items
            if i.kind == "struct" and not i.doc]
    print("\n".join(bad) if bad else "every function and struct has its words")
    return 1 if bad else 0


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    folder = os.path.join(arguments[0], "hilum")
    names = sorted((n[:-2] for n in os.listdir(folder) if n.endswith(".h")), key=order)
    headers = {name: parse(f"{folder}/{name}.h") for name in names}
    if "--check" in sys.argv:
        sys.exit(check(headers))
    macros = {i.name: i.text.split()[-1].rstrip("u") for i in headers["abi"][1] if i.kind == "macro"}
    write(headers, arguments[1], f"{macros['HILUM_ABI_MAJOR']}.{macros['HILUM_ABI_MINOR']}")


main()
