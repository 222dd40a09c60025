#!/usr/bin/env python3
"""Writes docs/python-api.md from the docstrings of bindings/python/ser, which it reads without importing them.

    tools/make_python_api.py            write it
    tools/make_python_api.py --check    say whether it is what it would be, and end with 1 if not
"""
import ast, copy, inspect, os, sys, textwrap

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE = os.path.join(TOP, "bindings", "python", "ser")
PAGE = os.path.join(TOP, "docs", "python-api.md")
HEAD = """# The Python package, name by name

Made by `tools/make_python_api.py` from the docstrings. [python.md](python.md) is where to begin.
"""
# The order of the page. Whatever is in __all__ and not here is an error.
ORDER = ["predict", "Model", "Answer", "Segment", "Sound", "Features", "Classifier", "encoders", "Interface", "Stream", "Event", "evaluate", "train", "test",
         "adapt", "extract", "Report", "Error", "ArgumentError", "ArgumentTypeError", "FileError", "FormatError", "UnsupportedError", "OutOfMemoryError",
         "CancelledError", "MissingPackageError"]


def parsed(name):
    with open(os.path.join(PACKAGE, name + ".py"), encoding="utf-8") as f:
        return ast.parse(f.read())


def assigned(module, name):
    return next(ast.literal_eval(s.value) for s in module.body if isinstance(s, ast.Assign) and s.targets[0].id == name)


def words(node):
    """A docstring as Markdown: examples as code, ``x`` and `x` as `x`."""
    text = ast.get_docstring(node) or ""
    blocks = []
    for block in text.split("\n\n"):
        if block.startswith(">>>"):
            blocks.append("```python\n" + block + "\n```")
        else:
            blocks.append(block.replace("``", "`"))
    return "\n\n".join(blocks)


def signature(node, name, drop_self):
    arguments = copy.deepcopy(node.args)
    if drop_self:
        (arguments.posonlyargs or arguments.args).pop(0)
    returned = f" -> {ast.unparse(node.returns)}" if node.returns and name != "__init__" else ""
    return ast.unparse(arguments), returned.replace("'", "").replace('"', "")


def code(lines):
    return "```python\n" + "\n".join(lines) + "\n```"


def function(node, name):
    arguments, returned = signature(node, node.name, False)
    return f"## {name}\n\n{code([f'{name}({arguments}){returned}'])}\n\n{words(node)}\n"


def is_decorated(node, name):
    return any(ast.unparse(d).split("(")[0] == name for d in node.decorator_list)


def klass(node, name):
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
    made = next((m for m in methods if m.name == "__init__"), None)
    bases = [ast.unparse(b) for b in node.bases if not ast.unparse(b).startswith("_") and ast.unparse(b) != "Opened"]
    head = f"{name}({signature(made, '__init__', True)[0]})" if made and not bases[:1] == ["Exception"] else name
    out = [f"## {name}\n"]
    if is_decorated(node, "dataclass"):
        head = [f"{f.target.id}: {ast.unparse(f.annotation)}" for f in node.body if isinstance(f, ast.AnnAssign)]
        out.append(code([f"class {name}:"] + ["    " + line for line in head]) + "\n")
    elif made:
        out.append(code([head]) + "\n")
    elif bases:
        out.append("Derives from " + ", ".join(f"`{b}`" for b in bases) + ".\n")
    out.append(words(node) + "\n")
    for m in methods:
        if m.name.startswith("_") or not ast.get_docstring(m):
            continue
        what = words(m)
        if is_decorated(m, "property"):
            out.append(f"- **`.{m.name}`**: {textwrap.indent(what, '  ').lstrip()}")
            continue
        fixed = is_decorated(m, "staticmethod")
        arguments, returned = signature(m, m.name, not fixed)
        out.append(f"- **`.{m.name}({arguments}){returned}`**: {textwrap.indent(what, '  ').lstrip()}")
    return "\n".join(out) + "\n"


def described(node, name):
    return klass(node, name) if isinstance(node, ast.ClassDef) else function(node, name)


def page():
    package = parsed("__init__")
    names = assigned(package, "__all__")
    if sorted(names) != sorted(ORDER):
        sys.exit(f"make_python_api.py: ORDER and __all__ differ in {sorted(set(names) ^ set(ORDER))}")
    where = dict(assigned(package, "_LATER"))
    for s in package.body:
        if isinstance(s, ast.ImportFrom) and s.level == 1:
            where.update({a.name: s.module for a in s.names})
    out = [HEAD]
    for name in ORDER:
        if name == "encoders":
            module = parsed(name)
            out.append(f"## ser.encoders\n\n{words(module)}\n")
            out += [described(n, f"ser.encoders.{n.name}") for n in module.body if getattr(n, "name", None) in assigned(module, "__all__")]
            continue
        node = next(n for n in parsed(where[name]).body if getattr(n, "name", None) == name)
        if not ast.get_docstring(node):
            sys.exit(f"make_python_api.py: {name} has no docstring")
        out.append(described(node, f"ser.{name}"))
    return "\n".join(out)


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(inspect.getdoc(sys.modules[__name__]))
    new = page()
    if not sys.argv[1:]:
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(new)
        return
    with open(PAGE, encoding="utf-8") as f:
        if f.read() != new:
            sys.exit("docs/python-api.md is not what the docstrings say: run tools/make_python_api.py")


main()
