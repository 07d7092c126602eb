"""The tests' newspaper with more doors than its footer: what each kind of channel is tried with."""

from pathlib import Path

CHANNELS = """
[[channels]]
id = "contact"
kind = "contact_form"
asset = "https://www.dedagwijzer.example/thanks"
place.nl = "het contactformulier"
place.en = "the contact form"
purposes = ["newsletter"]
owner = "Dirk, desk"
last_review = 2026-01-15
next_review = 2026-06-30

[[channels]]
id = "guide"
kind = "brochure"
asset = "guide.pdf"
place.nl = "de pagina van de gids"
place.en = "the page of the guide"
purposes = ["newsletter", "offers"]
owner = "Carla, marketing"
next_review = 2035-06-30

[[channels]]
id = "shop"
kind = "order"
place.nl = "de winkel"
place.en = "the shop"
purposes = ["offers"]
owner = "Carla, marketing"
next_review = 2035-06-30

[[channels]]
id = "old-list"
kind = "list"
place.nl = "de lijst van voorheen"
place.en = "the list from before"
purposes = ["newsletter", "offers"]
owner = "Carla, marketing"
next_review = 2035-06-30

[[channels]]
id = "bought"
kind = "third_party"
place.nl = "een lijst van Partner nv"
place.en = "a list of Partner nv"
purposes = ["newsletter", "offers"]
owner = "Carla, marketing"
next_review = 2035-06-30
[channels.source]
name = "Partner nv"
contact = "privacy@partner.example"
"""
GUIDE = b"%PDF-1.7 the guide to the city"


def open_doors(folder: Path) -> Path:
    """Declare them in the policy of this folder."""
    path = folder / "policy.toml"
    path.write_text(f'third_party_lists = "quarantine"\n{path.read_text("utf-8")}\n{CHANNELS}', encoding="utf-8")
    (folder / "guide.pdf").write_bytes(GUIDE)
    return folder
