"""The page of the report: one HTML file without scripts, external fonts or external images, light and dark."""

from collections.abc import Sequence
from html import escape
from string import Template
from typing import NamedTuple


class Section(NamedTuple):
    """A section of the page: its anchor, its title (plain text), its body (HTML)."""

    anchor: str
    title: str
    body: str


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Return the complete page. `title` and `subtitle` are plain text."""
    links = "".join(f'<a href="#{s.anchor}">{escape(s.title)}</a>' for s in sections)
    bodies = "".join(f'<section id="{s.anchor}"><h2>{escape(s.title)}</h2>{s.body}</section>' for s in sections)
    return _PAGE.substitute(
        title=escape(title), subtitle=escape(subtitle), style=_STYLE, links=links, sections=bodies
    )  # fmt: skip


def figure(content: str, caption: str) -> str:
    """Wrap an image or chart with its caption (both HTML); one wider than the screen scrolls on its own."""
    kind = "scroll card" if content.startswith("<svg") else "scroll"
    return f'<figure><div class="{kind}">{content}</div><figcaption>{caption}</figcaption></figure>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Make a table of HTML cells; the first column names the row."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    return f'<div class="scroll card"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def tile(value: str, label: str, note: str) -> str:
    """Make a tile: a headline number (HTML) with its name and a remark."""
    return f'<div class="tile"><b>{value}</b><span>{label}</span><small>{note}</small></div>'


_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>$style</style>
</head>
<body>
<nav aria-label="Contents">$links</nav>
<main>
<header><h1>$title</h1><p>$subtitle</p></header>
$sections
</main>
</body>
</html>
""")

_STYLE = """
:root {
  --page: #f6f7f9; --card: #ffffff; --ink: #20242c; --muted: #697080; --line: #dfe2e8; --on-fill: #fdfdfe;
  --blue: #2a6fb8; --orange: #c75a12; --teal: #0b7d73; --plum: #8e4a9e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101217; --card: #191c23; --ink: #e4e7ed; --muted: #99a1b0; --line: #2d323c;
    --blue: #3f8ada; --orange: #e0803c; --teal: #1a9689; --plum: #b57cc4;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 4rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
}
nav {
  position: sticky; top: 0; z-index: 1; display: flex; gap: .25rem; overflow-x: auto; padding: .5rem 1rem;
  background: var(--page); border-bottom: 1px solid var(--line); scrollbar-width: none;
}
nav a {
  flex: none; padding: .3rem .7rem; border-radius: 99px; color: var(--muted); text-decoration: none; font-size: .875rem;
}
nav a:hover, nav a:focus-visible { color: var(--ink); background: var(--line); }
main { max-width: 1120px; margin: 0 auto; padding: 0 1rem 5rem; }
.tile, .card, .plots figure, details {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: .9rem 1.1rem;
}
header { padding: 2.5rem 0 1rem; }
h1 { margin: 0; font-size: clamp(1.6rem, 4vw, 2.25rem); line-height: 1.2; letter-spacing: -.02em; font-weight: 680; }
header p { margin: .4rem 0 0; max-width: none; color: var(--muted); overflow-wrap: anywhere; }
section { padding-top: 2rem; }
h2 { margin: 0 0 .35rem; font-size: 1.3rem; letter-spacing: -.01em; font-weight: 640; }
h3 { margin: 1.6rem 0 .5rem; font-size: 1rem; font-weight: 620; }
p { margin: .35rem 0 1rem; max-width: 46rem; }
.lead, figcaption, .quiet { color: var(--muted); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); gap: .75rem; margin-top: .75rem; }
.tile {
  display: flex; flex-direction: column; min-width: 0;
}
.tile b {
  font-size: 1.9rem; line-height: 1.15; font-weight: 640; letter-spacing: -.02em; font-variant-numeric: tabular-nums;
}
.tile span { margin-top: .15rem; font-weight: 560; font-size: .92rem; }
.tile small { color: var(--muted); font-size: .82rem; line-height: 1.4; overflow-wrap: anywhere; }
figure { margin: .75rem 0 1.25rem; }
figcaption { margin-top: .6rem; font-size: .9rem; line-height: 1.5; max-width: 50rem; }
.scroll { overflow-x: auto; }
.photo { display: block; width: 100%; min-width: 720px; height: auto; border-radius: 12px; }
svg { display: block; max-width: 100%; height: auto; }
.card > svg { margin: 0 auto; }
.plots svg { width: 100% !important; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(46%, 230px), 1fr)); gap: .75rem; }
.plots figure { margin: 0; padding: .7rem .8rem .5rem; overflow-x: auto; }
.plots.whole { grid-template-columns: 1fr; }
.plots h4 { margin: 0 0 .3rem; font-size: .85rem; font-weight: 560; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 560; }
thead th { color: var(--muted); font-size: .82rem; }
th:first-child { text-align: left; padding-left: 0; }
td:last-child, th:last-child { padding-right: .2rem; }
tbody tr:last-child > * { border-bottom: 0; }
i.swatch {
  display: inline-block; width: .8em; height: .8em; margin-right: .5em;
  border-radius: 3px; border: 1px solid var(--muted);
}
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .5rem 1.5rem; margin: .75rem 0; }
dt { font-weight: 560; }
dd { margin: 0; max-width: 46rem; color: var(--muted); }
details { margin-top: .75rem; }
summary { cursor: pointer; font-weight: 560; }
pre {
  overflow-x: auto; margin: .75rem 0 .25rem;
  font: .82rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace;
}
@media (max-width: 640px) {
  dl { grid-template-columns: 1fr; gap: .1rem; } dd { margin-bottom: .6rem; }
  .tiles { grid-template-columns: 1fr 1fr; } .tile { padding: .8rem .9rem; } .tile b { font-size: 1.6rem; }
}
@media (min-width: 1400px) {
  body { display: grid; grid-template-columns: 13rem minmax(0, 1fr); }
  html { scroll-padding-top: 1rem; }
  nav { top: 0; height: 100vh; flex-direction: column; padding: 3rem 1rem 1rem 1.5rem; border: 0; overflow-y: auto; }
}
@media print { nav { display: none; } section { break-inside: avoid; } }
"""
