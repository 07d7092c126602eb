"""Print what the secret on AWS holds, as JSON, from your settings file: what serverless.yml reads from there, no more.

python scripts/lambda_secret.py my-list/.env > secret.json
"""

import json
import re
import sys
from pathlib import Path

from bridge.settings import SETTINGS, read_env_file

HOUSE = Path(__file__).resolve().parent.parent


def wanted() -> list[str]:
    """The fields that serverless.yml names."""
    return re.findall(r"^ +([A-Z_]+)_ARN: ", (HOUSE / "serverless.yml").read_text(encoding="utf-8"), re.MULTILINE)


def secret(settings: dict[str, str]) -> dict[str, str]:
    """Those of these settings; says what is missing and ends."""
    platforms = [name.strip() for name in settings.get("BRIDGE_ADAPTERS", "").split(",") if name.strip()]
    must = {"BRIDGE_DATABASE_URL", *(f"{name.upper()}_API_KEY" for name in platforms)}
    must |= {name for name, default in SETTINGS.items() if default is None}
    missing = [name for name in wanted() if name in must and not settings.get(name)]
    if missing:
        sys.exit(f"{missing[0]} is missing in that file")
    if settings["BRIDGE_DATABASE_URL"].startswith("sqlite"):
        sys.exit("BRIDGE_DATABASE_URL must be a PostgreSQL: functions on AWS share no disk")
    return {name: settings[name] for name in wanted() if settings.get(name)}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(json.dumps(secret(read_env_file(Path(sys.argv[1]))), indent=1))
