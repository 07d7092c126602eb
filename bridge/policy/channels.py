"""What is refused in channels: the places where addresses are collected (CHN-01 to CHN-04, CAP-03)."""

import re
from pathlib import Path

from bridge.policy.checks import Problems, every_language, known_purposes, mail_address, one_line, well_formed_id
from bridge.policy.shapes import BESIDE, Channel, ChannelKind, Policy, Problem

#: What may sell. A channel that sold before kinds were named is a form.
_SELL = frozenset({ChannelKind.FORM, ChannelKind.ORDER, ChannelKind.LIST, ChannelKind.API})
#: Files that are given away: readers open them elsewhere.
_GIVEN = frozenset({".pdf", ".epub", ".zip", ".png", ".jpg", ".jpeg"})


def channel_refusals(policy: Policy, folder: Path) -> Problems:
    """Everything about the channels that a rule forbids. `folder` is where the policy lies."""
    if not policy.channels:
        yield Problem("channels", "CHN-01", "add a [[channels]] block for each place where you collect addresses")
    for key, channel in policy.channels.items():
        where = f"channels.{key}"
        yield from well_formed_id(where, channel.id)
        yield from every_language(policy, f"{where}.place", channel.place, most=120)
        yield from one_line(f"{where}.owner", channel.owner, "CHN-01")
        yield from known_purposes(policy, where, channel.purposes, "CHN-01")
        yield from _boxes(where, channel)
        yield from _sale(policy, where, channel)
        yield from _review(where, channel)
        yield from _asset(where, channel, folder)
        yield from _third_party(policy, where, channel)


def _sale(policy: Policy, where: str, channel: Channel) -> Problems:
    if channel.sale is None:
        return
    if not policy.soft_opt_in:
        fix = "remove this block, or write soft_opt_in = true at the top where the country allows it"
        yield Problem(f"{where}.sale", "SOF-03", fix)
    if channel.kind not in _SELL:
        fix = f"remove this block: a channel of kind {channel.kind} sells nothing, so nobody is a customer by it"
        yield Problem(f"{where}.sale", "SOF-02", fix)
    if len(channel.sale.collected.strip()) < 20:
        fix = "write in a sentence how the buyer gave the address and where she could refuse; it goes into each proof"
        yield Problem(f"{where}.sale.collected", "SOF-01", fix)
    if not channel.sale.categories:
        yield Problem(f"{where}.sale.categories", "SOF-01", "name the categories of products that the mails are about")
    for category in channel.sale.categories:
        yield from one_line(f"{where}.sale.categories", category, "SOF-01", most=60)


def _boxes(where: str, channel: Channel) -> Problems:
    if channel.auto_enrol:
        fix = "must be false: nobody is put on a list by doing something else; show the box"
        yield Problem(f"{where}.auto_enrol", "CHN-03", fix)
    if channel.pre_ticked:
        yield Problem(f"{where}.pre_ticked", "CAP-01", "must be false: the reader ticks the box herself")
    for box in channel.boxes:
        if len(box) > 1:
            fix = f"one box asks for {' and '.join(box)}; give each purpose its own box"
            yield Problem(f"{where}.boxes", "CAP-02", fix)
        for purpose in box:
            if purpose not in channel.purposes:
                yield Problem(f"{where}.boxes", "CAP-02", f'"{purpose}" is not among the purposes of this channel')


def _review(where: str, channel: Channel) -> Problems:
    if channel.last_review is not None and channel.last_review >= channel.next_review:
        fix = "must be after last_review: the day by which its owner looks at it again"
        yield Problem(f"{where}.next_review", "CHN-01", fix)


def _asset(where: str, channel: Channel, folder: Path) -> Problems:
    """What is given away must be there, and only where the box stands beside something."""
    asset, path = channel.asset, Path(channel.asset)
    if channel.kind not in BESIDE:
        if asset:
            fix = f"remove it, or say which kind of channel gives it: {', '.join(sorted(BESIDE))}"
            yield Problem(f"{where}.asset", "CAP-03", fix)
    elif not asset:
        if channel.kind is ChannelKind.BROCHURE:
            fix = "name what readers get, with the box or without it: a file beside the policy, or its https address"
            yield Problem(f"{where}.asset", "CAP-03", fix)
    elif re.match(r"[a-z]+:", asset):
        if not re.fullmatch(r"https://[^\s/]+\S*", asset):
            yield Problem(f"{where}.asset", "CAP-03", "must start with https://, or be a file beside the policy")
    elif path.is_absolute() or ".." in path.parts or path.suffix.lower() not in _GIVEN:
        fix = f"must be an https address, or a file beside the policy ({', '.join(sorted(_GIVEN))})"
        yield Problem(f"{where}.asset", "CAP-03", fix)
    elif not (folder / path).is_file():
        yield Problem(f"{where}.asset", "CAP-03", "there is no such file beside the policy")


def _third_party(policy: Policy, where: str, channel: Channel) -> Problems:
    if channel.kind is not ChannelKind.THIRD_PARTY:
        if channel.source is not None:
            yield Problem(f"{where}.source", "CHN-04", 'remove it, or write kind = "third_party"')
        return
    if policy.third_party_lists == "forbidden":
        fix = (
            "remove this channel: bought or borrowed lists hold nobody who said yes to you. third_party_lists = "
            '"quarantine" at the top takes them in, but mails nobody without a proof of her own that names you'
        )
        yield Problem(f"{where}.kind", "CHN-04", fix)
    if channel.source is None:
        fix = "say who collected these addresses: [channels.source] with name and contact (GDPR 14(2)(f))"
        yield Problem(f"{where}.source", "CHN-04", fix)
    else:
        yield from one_line(f"{where}.source.name", channel.source.name, "CHN-04")
        yield from mail_address(f"{where}.source.contact", channel.source.contact, "CHN-04")
