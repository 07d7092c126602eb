"""Marketing permissions of a Mailchimp audience ("GDPR fields"): what is not said to be permitted, is not mailed there.

Their ids stand nowhere but at a member, and differ in each audience: they are learnt once from any member and kept.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from adapters._mailchimp_api import MailchimpApi
from adapters._outcomes import Told
from bridge.adapter import AdapterError
from bridge.vocabulary import Finding


class Permission(msgspec.Struct):
    """One permission as it stands at a member."""

    marketing_permission_id: str = ""
    text: str = ""
    enabled: bool = False


class _Members(msgspec.Struct):
    members: list["_Member"] = []


class _Member(msgspec.Struct):
    marketing_permissions: list[Permission] = []


class Permissions:
    """The permissions that the policy names (`permission = "Email"` beside the audience), and their ids there."""

    def __init__(self, api: MailchimpApi, places: Mapping[str, Mapping[str, str]]) -> None:
        self._api = api
        self._named: dict[str, dict[str, str]] = {}  # audience -> purpose -> words of the permission, lower case
        self._ids: dict[str, dict[str, str]] = {}  # audience -> words -> id, as far as a member has shown them
        for purpose, place in places.items():
            if place.get("permission"):
                self._named.setdefault(place["audience"], {})[purpose] = _plain(place["permission"])

    def learn(self, audience: str) -> None:
        """Ask for one member's permissions, once for each audience that needs it."""
        if audience not in self._named or audience in self._ids:
            return
        try:
            self._note(audience, self._one_member(audience))
        except (Told, AdapterError):
            return  # the first answer about a member shows them as well

    def wanted(self, audience: str, on: Collection[str]) -> list[dict[str, Any]]:
        """What is sent for a member, as far as the ids are known: a permission is there while a purpose of it is on."""
        ids, named = self._ids.get(audience, {}), self._named.get(audience, {})
        permitted = {words for purpose, words in named.items() if purpose in on}
        found = sorted((ids[words], words in permitted) for words in set(named.values()) if words in ids)
        return [{"marketing_permission_id": one, "enabled": enabled} for one, enabled in found]

    def missing(self, audience: str, on: Collection[str], shown: Sequence[Permission]) -> list[str]:
        """What is not permitted there although a purpose of it is on, as reasons; learns from what is shown."""
        named = self._named.get(audience)
        if not named:
            return []
        self._note(audience, shown)
        wanted = {words for purpose, words in named.items() if purpose in on}
        if unknown := wanted - self._ids.get(audience, {}).keys():
            return ["permission_unknown"] * len(unknown)
        given = {permission.marketing_permission_id for permission in shown if permission.enabled}
        return ["kept_permission"] * sum(self._ids[audience][words] not in given for words in wanted)

    def check(self, audience: str, *, asked: bool) -> Iterator[Finding]:
        """What doctor says: an audience that asks for permissions needs one named, by the words that stand there."""
        named = set(self._named.get(audience, {}).values())
        subject = f"mailchimp audience {audience}, marketing permissions"
        if not asked:
            if named:
                fix = "it asks for none: take permission out of [purposes.at.mailchimp], or switch its GDPR fields on"
                yield Finding(subject, False, fix)
            return
        try:
            shown = self._one_member(audience)
        except (Told, AdapterError):
            shown = []
        if not shown:
            yield Finding(subject, bool(named), "" if named else "not readable before the audience has a first member")
            return
        self._note(audience, shown)
        there = ", ".join(sorted(permission.text for permission in shown))
        good = bool(named) and named <= {_plain(permission.text) for permission in shown}
        fix = f'set permission = "…" under [purposes.at.mailchimp] to one of: {there}; who has none is not mailed'
        yield Finding(subject, good, "" if good else fix)

    def _one_member(self, audience: str) -> list[Permission]:
        call = self._api.lists.get_list_members_info
        answer = self._api.call(call, audience, count=1, fields=["members.marketing_permissions"])
        try:
            found = msgspec.convert(answer, _Members).members
        except msgspec.ValidationError:
            return []
        return found[0].marketing_permissions if found else []

    def _note(self, audience: str, shown: Sequence[Permission]) -> None:
        for permission in shown:
            if permission.marketing_permission_id and permission.text:
                self._ids.setdefault(audience, {})[_plain(permission.text)] = permission.marketing_permission_id


def _plain(words: str) -> str:
    return " ".join(words.split()).lower()
