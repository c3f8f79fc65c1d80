"""The configuration endpoint of a memcached cluster as ElastiCache has it: over TLS it says which nodes there are.

Debian's memcached does not know `config get cluster`. The nodes themselves are memcached, and clients talk to them without us.
Words: the port, the certificate's file, the key's file, and each node as host:port; all of them are on loopback.
"""

import asyncio
import ssl
import sys


def configuration(nodes):
    """What ElastiCache answers to `config get cluster`: each node's name, address and port."""
    listed = " ".join("{}|127.0.0.1|{}".format(*node.rsplit(":", 1)) for node in nodes)
    payload = f"1\n{listed}\n"
    return f"CONFIG cluster 0 {len(payload)}\r\n{payload}\r\nEND\r\n".encode()


async def main(port, certificate, key, *nodes):
    answers = {b"config get cluster": configuration(nodes), b"version": b"VERSION 1.6.22\r\n"}

    async def converse(reader, writer):
        try:
            while line := await reader.readline():
                writer.write(answers.get(line.strip(), b"ERROR\r\n"))
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(converse, "127.0.0.1", int(port), ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
