"""Print README's table of statuses and events from the rules themselves: `python scripts/status_table.py`."""

from bridge.decide import MAILABLE, NEXT, STOPS
from bridge.vocabulary import EventType, Status


def table() -> str:
    """A row for every event that can change a status, and one line for those that cannot."""
    lines = ["| event | " + " | ".join(f"`{status}`" for status in Status) + " |"]
    lines.append("|---" * (len(Status) + 1) + "|")
    still = []
    for event in EventType:
        cells = [NEXT[status][event] for status in Status]
        if cells == list(Status):
            still.append(f"`{event}`")
            continue
        shown = ("·" if after is status else str(after) for status, after in zip(Status, cells, strict=True))
        lines.append(f"| {'**stop** ' if event in STOPS else ''}`{event}` | " + " | ".join(shown) + " |")
    lines.append("")
    lines.append(f"May be mailed: {' and '.join(f'`{status}`' for status in Status if status in MAILABLE)} only.")
    lines.append(f"No status changes by: {', '.join(still)}.")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
