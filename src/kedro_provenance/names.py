"""Find the names that a piece of code reads from its module, rather than from its own functions."""

import ast
import symtable


def free_names(statement: ast.stmt) -> dict[str, set[str | None]]:
    """Return the names that a statement reads from its module, each with the attributes that are taken of it.

    Arguments and variables of functions do not belong to the module. Names that an import within a function binds are
    returned too, because imports are followed. None among the attributes means that the name is used by itself. A name
    that is a local variable in one method and the module's in another has the attributes of both.
    """
    of_module = _names_of_module(ast.unparse(statement))
    names: dict[str, set[str | None]] = {}
    objects = set()
    for node in ast.walk(statement):  # an attribute comes before the name that it is taken of
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            objects.add(node.value)
            names.setdefault(node.value.id, set()).add(node.attr)
        elif isinstance(node, ast.Name) and node not in objects:
            names.setdefault(node.id, set()).add(None)
    return {name: attributes for name, attributes in names.items() if name in of_module}


def _names_of_module(source: str) -> set[str]:
    names = set()
    tables = [symtable.symtable(source, "<statement>", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        # What a class body reads it may read from the module, even where it binds the name itself later.
        outside = table.get_type() in ("module", "class")
        names |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_global() or symbol.is_imported() or (outside and symbol.is_referenced())
        }
    return names
