"""A small DNS server on loopback: it answers TXT questions from a table, over UDP, and says NXDOMAIN to the rest."""

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset


class _Answer(socketserver.BaseRequestHandler):
    """One question."""

    server: Any

    def handle(self) -> None:
        """Answer it."""
        data, line = self.request
        query = dns.message.from_wire(data)
        if self.server.silent:
            return
        question = query.question[0]
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        told = self.server.records.get(str(question.name).rstrip(".").lower())
        if told is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif told and question.rdtype == dns.rdatatype.TXT:
            words = [" ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200)) for text in told]
            answer.answer.append(dns.rrset.from_text(question.name, 60, dns.rdataclass.IN, dns.rdatatype.TXT, *words))
        line.sendto(answer.to_wire(), self.client_address)


@contextmanager
def names(records: Mapping[str, list[str]], *, silent: bool = False) -> Iterator[str]:
    """Serve these TXT records; gives `address:port` for BRIDGE_DNS."""
    server: Any = socketserver.ThreadingUDPServer(("127.0.0.1", 0), _Answer)
    server.records, server.silent = records, silent
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
