"""A figure as SVG inside the page: its styles as attributes, its ids its own, nothing that points outside.

The page's policy forbids `style` attributes and elements that it does not know; SVG says the same in attributes.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from matplotlib.figure import Figure as Drawing

from flexeval.plots.render import rendered
from flexeval.report.markup import Markup

_ENLARGED = 1.5
_COLUMN = 300.0
"""Points that a figure for one column of a paper stays below."""
_LONG_DECIMAL = re.compile(r"-?\d+\.\d{3,}")


def inline_svg(drawing: Drawing, name: str, label: str) -> Markup:
    """The drawing as an element.

    Args:
        drawing: as a figure of `flexeval.figures` drew it.
        name: unique in the page; its ids begin with it.
        label: what it shows, for those who do not see it.
    """
    text = rendered(drawing, "svg").decode()
    root = ElementTree.fromstring(text)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    used = set(re.findall(r"#([\w.-]+)", text))
    for part in root.iter():
        part.tag = _local(part.tag)
        part.attrib = {key: _referring(text, name) for key, text in _attributes(part.attrib).items()}
        if (own := part.attrib.pop("id", None)) in used:
            part.set("id", f"{name}-{own}")
    # On a screen the type of a paper's column is small; the height follows from the width.
    width = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height")
    root.attrib |= {"width": f"{_ENLARGED * width:g}pt", "class": "wide" if width > _COLUMN else "narrow"}
    # What the removed style sheet said of everything.
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt", "role": "img", "aria-label": label}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _attributes(given: dict[str, str]) -> dict[str, str]:
    """Without namespaces, with the declarations of `style` as attributes, and paths to a hundredth of a point."""
    attributes = {_local(key): text for key, text in given.items()}
    for declaration in attributes.pop("style", "").split(";"):
        key, colon, text = declaration.partition(":")
        if colon:
            attributes[key.strip()] = text.strip()
    if "font-family" in attributes:
        # For readers without the font that the drawing was measured with: one as wide, then any.
        attributes["font-family"] += ", Verdana, sans-serif"
    if "d" in attributes:
        attributes["d"] = _LONG_DECIMAL.sub(lambda number: f"{float(number[0]):.2f}", attributes["d"])
    return attributes


def _referring(text: str, name: str) -> str:
    """The attribute's text with its references to ids of this drawing renamed."""
    if text.startswith("#") and not re.fullmatch("#[0-9a-fA-F]{3,8}", text):
        return f"#{name}-{text[1:]}"
    return text.replace("url(#", f"url(#{name}-")
