"""The privacy statement as data: what it says item by item in one language, what it lacks, what changed (GDPR 13, 14).

Made from the policy alone; `standards.md` section 9 has the list.
"""

from bridge.statement.changed import changes
from bridge.statement.items import SECTIONS, Content, content
from bridge.statement.lacking import REQUIRED, Lack, lacks, wanted
from bridge.statement.page import render

__all__ = ["REQUIRED", "SECTIONS", "Content", "Lack", "changes", "content", "lacks", "render", "wanted"]
