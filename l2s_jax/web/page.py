"""The page and its names: `page.html` imports one of two engines, and asks for the description of the parser."""

from importlib import resources

PAGE, ENGINE, DESCRIPTION = "index.html", "engine.js", "model.json"


def resource(name: str) -> bytes:
    """Return a file of this package."""
    return resources.files(__package__).joinpath(name).read_bytes()
