"""AWS as far as we use it, played on this machine: queues and secrets by moto, functions by the real runtime client."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

REGION, KEY = "eu-central-1", "AKIAONLYFORTESTS"


class Played(NamedTuple):
    """Queues and secrets that answer on loopback."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What a program must know to speak to them."""
        return {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "only-for-tests",
            "AWS_ENDPOINT_URL": self.url,
        }

    def client(self, service: str) -> Any:
        """Amazon's own SDK, for what tests ask and prepare."""
        return _client(self.url, service)

    def queue(self, name: str, **attributes: str) -> str:
        """A new queue; gives its URL."""
        return str(self.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def secret(self, name: str, value: object) -> str:
        """A new secret; gives its ARN."""
        text = value if isinstance(value, str) else json.dumps(value)
        return str(self.client("secretsmanager").create_secret(Name=name, SecretString=text)["ARN"])

    def held(self, queue: str) -> list[str]:
        """What is in a queue now, given out or not; it stays there."""
        from moto.backends import get_backend

        told = get_backend("sqs")["123456789012"][REGION].queues[queue.rpartition("/")[2]]
        return [message.body for message in told._messages]

    def messages(self, queue: str) -> list[str]:
        """What is in a queue now, taken out."""
        sqs, found = self.client("sqs"), list[str]()
        while told := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in told:
                found.append(message["Body"])
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found


@cache
def _client(url: str, service: str) -> Any:
    import boto3

    key = "only-for-tests"
    return boto3.client(service, endpoint_url=url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=key)


@contextmanager
def played() -> Iterator[Played]:
    """Start it, empty."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield Played(f"http://{host}:{port}")
    finally:
        server.stop()
