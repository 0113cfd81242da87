"""Figure -> an SVG element whose points say what they are, with links where they have an address.

It has its styles as attributes, ids of its own, and nothing that points outside, so that it can stand in a page whose
policy forbids `style` attributes. Colours can change on dark pages.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from flexeval.errors import printable
from flexeval.plots.glyphs import glyphs_may_lack
from flexeval.plots.marks import Row, marks_of
from flexeval.plots.render import rendered

_COLUMN = 300.0
"""Points that a figure for one column of a paper stays below."""
_LONG_DECIMAL = re.compile(r"-?\d+\.\d{3,}")
_MARK = "mark:"
_STOPS = 40
"""The most points of a curve that the Tab key stops at; more would make a long way through a page."""


def is_wide(drawing: Figure) -> bool:
    """Whether a drawing is for two columns of a paper."""
    return bool(72 * drawing.get_figwidth() > _COLUMN)


def inline_svg(
    drawing: Figure, name: str, label: str, address: Callable[[Row], str | None] = lambda row: None
) -> Markup:
    """The drawing as an element; what its points are is their title, and a link where they have an address.

    Args:
        drawing: as a figure of `flexeval.figures` drew it.
        name: unique in the page; its ids begin with it.
        label: what it shows, for those who do not see it.
        address: of the row behind a point (`flexeval.plots.marks`), within the page.
    """
    marks = marks_of(drawing)
    for number, one in enumerate(marks):
        one.set_visible(True)
        one.set_urls([f"{_MARK}{number}/{place}" for place in range(len(one.rows))])
    with glyphs_may_lack():
        text = rendered(drawing, "svg").decode()
    for one in marks:
        one.set_visible(False)
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
    told = [list(zip(one.texts(), map(address, one.rows), strict=True)) for one in marks]
    for part in list(root.iter("a")):
        if (place := part.get("href", "")).startswith(_MARK):
            some, row = map(int, place.removeprefix(_MARK).split("/"))
            _make_link(part, *told[some][row], stop=len(told[some]) <= _STOPS)
    # The page's style says how large it is; the height follows from the width.
    del root.attrib["width"], root.attrib["height"]
    # What the removed style sheet said of everything.
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt", "role": "group", "aria-label": label}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _make_link(part: ElementTree.Element, text: str, address: str | None, *, stop: bool) -> None:
    """Give the element around a mark its title and its address; without one it only says what it is."""
    part.attrib.clear()
    part.set("class", "mark")
    title = ElementTree.Element("title")
    title.text = printable(text)
    part.insert(0, title)
    for shape in part.iter():
        if shape.tag in ("use", "path"):
            # Only a place: the style of the page shows it under the pointer, also where the panel ends.
            shape.attrib = {key: value for key, value in shape.attrib.items() if key in ("d", "href", "x", "y")}
    if address is None:
        part.tag = "g"
    else:
        part.set("href", address)
        if not stop:
            part.set("tabindex", "-1")


# ----- colours on dark pages -----

_DARK_CARD = "#1c1f24"
"""The page's dark paper; report.css has it, too."""
_CONTRAST = 4.0
_NEUTRAL = {
    "#222222": "var(--ink)", "#000000": "var(--ink)", "#ffffff": "var(--card)", "#e4e4e4": "var(--line)",
    "#cccccc": "var(--line)", "#d9d9d9": "#4b5059", "#8a8a8a": "var(--faint)", "#555555": "var(--faint)",
}  # fmt: skip


def dark_rules(markup: str) -> str:
    """CSS that gives each colour of some drawings its counterpart on dark paper.

    Greys follow the page; other colours become lighter, at the same hue, until they stand out from the paper. Figures
    with shades (images) stay on white paper.
    """
    found = sorted(set(re.findall(r'(?:fill|stroke)="#([0-9a-f]{6})"', markup)))
    # Through variables, since a rule about where it stands does not reach into what `use` repeats.
    rules = [
        f'[{part}="#{colour}"]{{{part}:var(--c{colour},#{colour})}}'
        for colour in found
        for part in ("fill", "stroke")
        if f'{part}="#{colour}"' in markup
    ]
    dark = ";".join(f"--c{colour}:{_NEUTRAL.get(f'#{colour}') or _lightened(f'#{colour}')}" for colour in found)
    inside = f"@media (prefers-color-scheme:dark){{.paper:not(.white){{{dark}}}}}"
    return "".join([*rules, inside]) if rules else ""


def _lightened(colour: str) -> str:
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    for step in range(101):
        own = to_hex(colorsys.hls_to_rgb(hue, lightness + (1 - lightness) * step / 100, saturation))
        if _contrast(own, _DARK_CARD) >= _CONTRAST:
            return own
    return "#ffffff"


def _contrast(one: str, other: str) -> float:
    """WCAG's contrast of two colours."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


# ----- attributes -----


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
