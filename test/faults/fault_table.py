"""Writes the measured rows into the table of docs/faults.md, between its two marks."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def update(file: Path, rows: list[tuple[str, str, str]]) -> None:
    """Put the table in place of the old one; a file without marks becomes the table."""
    lines = ["| Fault | What the user sees | Recovery |", "|---|---|---|"]
    lines += [f"| {fault} | {seen} | {recovery} |" for fault, seen, recovery in rows]
    table = f"{BEGIN}\n" + "\n".join(lines) + f"\n{END}"
    text = file.read_text(encoding="utf-8") if file.is_file() else f"{BEGIN}{END}\n"
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    file.write_text(head + table + tail, encoding="utf-8")
