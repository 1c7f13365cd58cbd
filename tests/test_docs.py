"""What the code says of its documentation is true: the pages and headings that it names exist, here."""

import itertools
import re
import shlex
from pathlib import Path

import pytest

from input_pipeline import licences
from l2s_jax import bundle, cli, config, systems

ROOT = Path(__file__).parent.parent
FOLDERS = ("l2s_jax", "input_pipeline", "configs", "experiments", "tests", "docs")
FILES = [
    ROOT / "README.md",
    *sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*") if path.suffix in (".py", ".md")),
]

CITED = re.compile(r'(?<![\w./-])(docs/[\w./-]+\.md)((?:(?:,|,? and) "[^"]+")*)')
"""`docs/PAGE.md, "Heading", "Heading" and "Heading"`; the headings may be missing."""
LINKED = re.compile(r"\]\(([^)\s:#]*)(?:#([^)\s]+))?\)")
"""`](PAGE#ANCHOR)` of Markdown, either of which may be missing; nothing with a colon, which is a URL."""
OUTSIDE = re.compile(r"\b(?:design|review)\.md\b|\bspec [A-Z]\d+|\b[ABC]\d{1,2}\b(?: \([a-z]\)|\.\d+)?")
"""Sections of notes that readers of this repository do not have."""


def texts():
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in FILES}


def headings(page: Path) -> set[str]:
    """The headings of a Markdown page, without those lines of its code blocks that look alike."""
    prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"^#+ (.+?)\s*$", prose, re.MULTILINE))


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def dead_citations(text: str, root: Path) -> list[str]:
    """The pages and headings that a text cites and that are not there."""
    line = re.sub(r"\s*\n\s*(?:# )?", " ", text)  # citations go on in the next line, also of a comment
    dead = []
    for page, quoted in CITED.findall(line):
        known = headings(root / page) if (root / page).is_file() else None
        names = re.findall(r'"([^"]+)"', quoted)
        dead += [page] if known is None else [f'{page}, "{name}"' for name in names if name not in known]
    return dead


def dead_links(page: Path) -> list[str]:
    """The relative links of a Markdown page that lead nowhere."""
    dead = []
    for file, name in LINKED.findall(page.read_text("utf-8")):
        target = page.parent / file if file else page
        if not target.exists() or (name and name not in map(anchor, headings(target))):
            dead.append(f"{file}#{name}" if name else file)
    return dead


def test_cited_pages_and_headings_exist():
    dead = {name: dead_citations(text, ROOT) for name, text in texts().items() if name != "tests/test_docs.py"}
    assert {name: found for name, found in dead.items() if found} == {}
    cited = [page for name, text in texts().items() if name.startswith("l2s_jax/") for page, _ in CITED.findall(text)]
    assert len(cited) > 5  # the pattern still finds what it is for


def test_links_between_pages_lead_somewhere():
    dead = {path.name: dead_links(path) for path in FILES if path.suffix == ".md"}
    assert {name: found for name, found in dead.items() if found} == {}


def test_no_reference_leads_outside_of_the_repository():
    found = {name: OUTSIDE.findall(text) for name, text in texts().items()}
    assert {name: references for name, references in found.items() if references} == {}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("# Page\n\n## R1 mix-up\n\n```sh\n# Not one\n```\n")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ('see docs/page.md, "R1 mix-up", and others', []),
        ('docs/page.md,\n    "R1\n    mix-up" and "Page"', []),
        ('    # docs/page.md, "R1\n    # mix-up"', []),
        ('"docs/page.md", "Nothing"', []),  # a string of the code, not a citation
        ("https://example.org/docs/none.md", []),
        ("see docs/none.md.", ["docs/none.md"]),
        ('docs/page.md, "Page" and "Not one"', ['docs/page.md, "Not one"']),
        ('docs/page.md, "Page", "R2" and "R3"', ['docs/page.md, "R2"', 'docs/page.md, "R3"']),
    ],
)
def test_a_dead_citation_is_seen(root, text, dead):
    assert dead_citations(text, root) == dead


@pytest.mark.parametrize(
    ("link", "dead"),
    [
        ("[a](page.md#r1-mix-up) [b](#links) [c](https://x.org/none.md)", []),
        ("[a](none.md)", ["none.md"]),
        ("[a](page.md#not-one) [b](#none)", ["page.md#not-one", "#none"]),
    ],
)
def test_a_dead_link_is_seen(root, link, dead):
    (root / "docs" / "links.md").write_text(f"# Links\n\n{link}\n")
    assert dead_links(root / "docs" / "links.md") == dead


@pytest.mark.parametrize(
    "reference", ["spec {}8", "test (e) of {}10", "{}10 (e)", "defect {}8.1", "({}1; 2019)", "{}6's"]
)
def test_a_reference_to_the_outside_is_seen(reference):
    assert OUTSIDE.search(reference.format("A"))


@pytest.mark.parametrize("innocent", ["a spec of SPEC", "an A100 or {}6000", "R1", "0x{}12F", "section 3"])
def test_other_words_are_no_references(innocent):
    assert not OUTSIDE.search(innocent.format("A"))


@pytest.mark.parametrize(
    ("system", "label_set"),
    sorted((name, label_set) for name in systems.names() for label_set in systems.published(name).results),
)
def test_pages_give_the_published_scores_of_the_code(system, label_set):
    results = systems.published(system).results[label_set]
    text = (ROOT / "docs" / "methods" / f"{system}.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \|((?: [\d.]+ \|)+)$", text, re.MULTILINE)
    rows = {(name, tuple(float(value) for value in values.split("|")[:-1])) for name, values in rows}
    for name in results[0].f1:
        assert (name, tuple(round(100 * result.f1[name], 6) for result in results)) in rows


def test_the_table_of_models_is_that_of_the_package():
    page = (ROOT / "docs" / "models" / "README.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")][1:]
    told = {re.sub(r"\[([^]]+)\].*", r"\1", name): cells for name, *cells in rows}
    shipped = {path.name: path for path in bundle.DEFAULT_PARSER.parent.iterdir() if path.is_dir()}
    assert told.keys() == shipped.keys()
    for name, path in shipped.items():
        meta, (_, parameters, megabytes, score, _, licence, _) = bundle.read_meta(path), told[name]
        assert parameters == f"{meta.parameters / 1e6:.2f} M"
        assert megabytes == f"{(path / bundle.TENSOR_FILE).stat().st_size / 1e6:.1f}"
        assert licence == licences.short(meta.licence)
        assert meta.mean_f1 is None or score.startswith(f"{meta.mean_f1:.3f}: ")


def test_every_config_stands_on_the_page_of_training():
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "training.md").read_text("utf-8")))
    named |= {f"{name}_ours" for name in named if name.startswith("segface_")}
    trained_for_the_package = {"l2s_synthetic", "l2s_published_64"}  # on the pages of the models and of the method
    assert config.shipped().keys() - named == trained_for_the_package


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page}" not in index} == set()


SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
OPERATORS = {"&&", "|", "&", "<", ">", ">>", "2>"}


def commands(text: str) -> list[list[str]]:
    """The words after `l2s` of its commands in the shell blocks of a page, up to a pipe or a redirection."""
    found = []
    for line in "\n".join(SHELL.findall(text)).replace("\\\n", " ").splitlines():
        reader = shlex.shlex(line, posix=True, punctuation_chars=True)
        reader.whitespace_split = True
        for operator, words in itertools.groupby(reader, OPERATORS.__contains__):
            words = [word for word in words if not re.match(r"[A-Z_]+=", word)]
            if not operator and words[:1] == ["l2s"]:
                found.append(words[1:])
    return found


@pytest.mark.parametrize("page", [path for path in FILES if path.suffix == ".md"], ids=lambda path: path.stem)
def test_every_command_of_the_pages_is_one_that_l2s_takes(page):
    for words in commands(page.read_text("utf-8")) if page.stem != "new_system" else []:  # which has a test of its own
        _, args = cli._read(words)
        names = getattr(args, "config", None) or ()
        for name in [names] if isinstance(names, str) else names:
            config.load(name, getattr(args, "overrides", []))


def test_commands_are_found_behind_variables_and_pipes():
    page = "```sh\nA=b l2s parse 'x y.jpg' --out - > z.png  # this\nls && l2s \\\n labels\n```\nl2s none\n"
    assert commands(page) == [["parse", "x y.jpg", "--out", "-"], ["labels"]]


CODE = re.compile(r"(?<![\w./<-])((?:[\w]+/)+\w+\.py)\b")
"""A file of code, with at least one folder in front of it."""
ELSEWHERE = ("pixel_parser/", "configs/NAME.py", "systems/NAME/")


def test_files_of_code_that_pages_and_docstrings_name_are_there():
    """Whole paths, or their ends: `layers/crops.py` is that of l2s_jax."""
    known = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py")]
    lost = {
        name: [cited for cited in CODE.findall(text) if not any(f"/{path}".endswith(f"/{cited}") for path in known)]
        for name, text in texts().items()
        if not name.startswith("tests/")  # where files are made that are named
    }
    lost = {name: [cited for cited in found if not cited.startswith(ELSEWHERE)] for name, found in lost.items()}
    assert {name: found for name, found in lost.items() if found} == {}
