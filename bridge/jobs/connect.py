"""Making what a platform needs, and keeping what only its answer tells."""

from bridge.bootstrap import Bridge
from bridge.vocabulary import Step


def set_up(bridge: Bridge, name: str) -> list[Step]:
    """Run an adapter's `setup`; a secret it was told is kept, sealed, unless a setting stands in its way."""
    steps = bridge.adapters[name].setup(bridge.links.url("/webhooks/", name))
    return [_keep(bridge, name, step) for step in steps]


def _keep(bridge: Bridge, name: str, step: Step) -> Step:
    if step.keep is None:
        return step
    setting, place, value = step.keep
    new = value not in bridge.kept.of(name).get(setting, "").split(",")
    if new:
        bridge.kept.keep(name, setting, place, value)
    todo = step.todo
    if bridge.settings.environment.get(setting):
        todo = f"{setting} is set and wins over what the platform said now: take it out of the settings"
    return step._replace(made=step.made or new, todo=todo)
