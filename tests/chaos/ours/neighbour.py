"""A bad neighbour: publishes to the queue of others, confirmed and mandatory, what is no job there.

neighbour.py QUEUE KIND…; the broker is at AMQP_URL. Prints a line for each message: kind, length and CRC-32 of its body.
"""
import gzip, os, random, sys, zlib

import pika

QUEUE, *KINDS = sys.argv[1:]
CHANCE = random.Random(5)
FRAME = 131_072


def noise(size):
    return CHANCE.randbytes(size)


def nested(levels):
    return {"t": nested(levels - 1)} if levels else {"t": 1}


GARBAGE = [
    (noise(size), dict(type="soak", content_type="application/json")) for size in (1, 2, 7, 100, 4_096, 131_064, 131_065, 300_000)
] + [
    (noise(60), dict()),
    (noise(61), dict(type="")),
    (noise(62), dict(type="x" * 255, message_id="y" * 255, app_id="z" * 255, correlation_id="c" * 255, reply_to="r" * 255)),
    (b"\xff\xfe" + noise(30), dict(type="soak", message_id="soak-none")),
    (b'{"id":18446744073709551616,"cargo":"","checksum":0}', dict(type="soak")),
    (b'{"id":1e999,"cargo":"","checksum":0}', dict(type="soak")),
    (b"[" * 100_000, dict(type="soak")),
    (b'{"id":1,"cargo":"\xff","checksum":0}', dict(type="soak")),
    (b"null", dict(type="soak", priority=255, delivery_mode=1)),
    (b"{}", dict(type="soak", timestamp=2**63 - 1)),
]
EMPTY = [(b"", dict(type="soak")), (b"", dict()), (b"", dict(type="soak", message_id="")), (b"", dict(type="other", content_type=""))]
CONTENT = [
    (gzip.compress(b'{"id":1}'), dict(type="soak", content_encoding="gzip", content_type="application/json")),
    (b"<id>1</id>", dict(type="soak", content_type="text/xml; charset=latin1")),
    ("{\"id\":1}".encode("utf-16"), dict(type="soak", content_type="application/json; charset=utf-16")),
    (b"\x08\x01", dict(type="soak", content_type="application/x-protobuf")),
    (noise(50), dict(type="soak", content_type="\u2028" * 80)),
]
LARGE = [(noise(1_000_000), dict(type="soak", message_id=f"large-{number}")) for number in range(6)]
HEADERS = [
    # With room for what the broker writes beside it: it sends larger frames than it takes.
    (noise(40), dict(type="soak", headers={"one": "h" * (FRAME - 2_000)})),
    (noise(42), dict(type="soak", headers={f"header-{number}": number for number in range(5_000)})),
    (noise(43), dict(type="soak", headers=nested(60))),
    (noise(44), dict(type="soak", headers={"n" * 255: "h" * 60_000, "list": [None] * 30_000})),
    (noise(45), dict(type="soak", headers={"x-death": "none", "x-delivery-count": "many", "x-first-death-queue": 7})),
    (noise(46), dict(type="soak", headers={"leveret-attempt": -5, "leveret-hop": {"a": 1}, "leveret-due": "now"})),
    (noise(47), dict(type="soak", headers={"leveret-attempt": 2**62, "leveret-hop": 2**62, "leveret-resent": 3})),
    (noise(48), dict(type="soak", headers={"leveret-suspect": 2**40, "leveret-suspect-armed": True, "leveret-crashes": -1})),
    (noise(49), dict(type="soak", headers={"leveret-history": "h" * 10_000, "leveret-max-attempts": 0, "leveret-timeout": -1})),
]
ALL = {
    "garbage": GARBAGE,
    "empty": EMPTY,
    "content": CONTENT,
    "large": LARGE,
    "headers": HEADERS,
}

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()
for kind in KINDS:
    for body, properties in ALL[kind]:
        channel.basic_publish("", QUEUE, body, pika.BasicProperties(**properties), mandatory=True)
        print(kind, len(body), zlib.crc32(body), flush=True)
connection.close()
