"""A campaign in parts: one table with a row for each part, printed as soon as it is known.

Rows that held are kept in a file, and the same command does not earn them again: a campaign may be interrupted at any
moment, or run a few minutes at a time. If the library has changed since, all is done anew.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from input_pipeline import files
from l2s_jax.training import hosts


def table(
    file: Path,
    settings: Mapping[str, object],
    columns: Sequence[str],
    parts: Mapping[str, Callable[[], tuple[bool, Sequence[str]]]],
) -> int:
    """Do the parts that are not done yet, and print a Markdown table of all.

    Args:
      file: where rows are kept.
      settings: of the campaign; rows that were earned with others do not count.
      columns: their titles, that of the names first.
      parts: by name, each returns whether it held, and its cells.

    Returns:
      the exit code: 0 if all parts held.
    """
    of, failed = {"code": hosts.code(), **settings}, False
    kept = json.loads(file.read_text()) if file.exists() else {}
    rows = kept["rows"] if kept.get("of") == of else {}
    print("|", " | ".join(columns), "|")
    print("|---" * len(columns) + "|", flush=True)
    for name, part in parts.items():
        cells = rows.get(name)
        if cells is None:
            held, cells = part()
            failed |= not held
            if held:
                rows[name] = cells
                files.replace_json(file, {"of": of, "rows": rows})
        print("|", " | ".join([name, *cells]), "|", flush=True)
    return int(failed)
