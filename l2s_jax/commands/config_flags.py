"""What a command line says of a config: its name, and fields that change, `--config.a.b=v`."""

from collections.abc import Sequence

from input_pipeline.errors import UserError, require


def read_cli(argv: Sequence[str]) -> tuple[str | None, list[str], list[str]]:
    """Split a command line into `--config NAME`, `--config.a.b=v`, and the rest.

    Args:
      argv: words; both `--flag=value` and `--flag value` are accepted.

    Returns:
      (name or None, overrides `a.b=v` in order, all other words in order).

    Raises:
      UserError: a flag without its value, or two config names.
    """
    name, overrides, rest = None, [], []
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag != "--config" and not flag.startswith("--config."):
            rest.append(word)
            continue
        if not equals:
            value = next(words, None)
            require(value is not None and not value.startswith("--"), f"{flag} needs a value: {flag}=VALUE")
        if flag != "--config":
            overrides.append(f"{flag.removeprefix('--config.')}={value}")
        elif name is None:
            name = value
        else:
            raise UserError(f"--config is given twice ('{name}' and '{value}'); keep one")
    return name, overrides, rest
