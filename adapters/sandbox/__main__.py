"""`python -m adapters.sandbox`: the sandbox as a process; ends on SIGTERM, Ctrl-C, or with its parent."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from adapters.sandbox import load_keys
from adapters.sandbox.courier import Webhooks
from adapters.sandbox.server import start


def webhooks_from(keys_file: Path | None, bridge_url: str) -> Webhooks:
    """Where to send news and what to sign it with; without keys no webhooks go out."""
    if keys_file is None or not bridge_url:
        return Webhooks()
    keys = load_keys(keys_file)
    return Webhooks(
        mailchimp_url=f"{bridge_url}/webhooks/mailchimp/{keys['mailchimp_path_secret']}",
        mailchimp_signing_secret=keys["mailchimp_signing_secret"],
        sendgrid_url=f"{bridge_url}/webhooks/sendgrid",
        sendgrid_private_key_pem=keys["sendgrid_private_key_pem"],
    )


def gone(parent: int) -> bool:
    """Whether the process that wanted us has ended."""
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop."""
    parser = argparse.ArgumentParser(
        prog="python -m adapters.sandbox",
        description="Toy Mailchimp, toy SendGrid and a mailbox.",
        epilog="Example: python -m adapters.sandbox --port 8100",
    )
    parser.add_argument("--port", type=int, default=8100, help="HTTP port; the mailbox's SMTP is on the next one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--keys", type=Path, help="file with the webhook keys")
    parser.add_argument("--bridge-url", default="", help="where webhooks go")
    parser.add_argument("--keep", type=Path, help="file that remembers everything, so that a new start goes on")
    parser.add_argument("--parent", type=int, help="end when this process has ended")
    options = parser.parse_args(arguments)

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        webhooks = webhooks_from(options.keys, options.bridge_url)
        running = start(options.port, host=options.host, webhooks=webhooks, keep=options.keep)
        running.state.timeline_url = os.environ.get("SANDBOX_TIMELINE", "")
    except OSError as error:
        print(f"sandbox: port {options.port} or {options.port + 1} cannot be used: {error}", file=sys.stderr)
        return 1
    print(f"sandbox ESPs and mailbox: {running.url}  (SMTP on port {running.smtp_port})", flush=True)
    born_to = os.getppid()
    while not stopping.wait(0.5):
        orphan = options.parent == born_to and os.getppid() != born_to
        if options.parent and (orphan or gone(options.parent)):
            break
    running.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
