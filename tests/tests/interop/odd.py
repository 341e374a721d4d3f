"""Publishes messages to a queue as a client does that knows nothing of Leveret, confirmed and mandatory.

odd.py QUEUE CASE…; the broker is at AMQP_URL. Each case but one is the id of its message.
"""
import json, os, sys
from decimal import Decimal

UMLAUTS = "Zoë <ζωή@例え.jp> 🐇 \u2028 \"\\"


def with_pika(body, **properties):
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(type="send_welcome", delivery_mode=2, **properties)
    channel.basic_publish("", QUEUE, body, properties, mandatory=True)
    connection.close()


def with_kombu(body, **options):
    import kombu

    with kombu.Connection(os.environ["AMQP_URL"], transport_options={"confirm_publish": True}) as connection:
        connection.Producer().publish(body, routing_key=QUEUE, mandatory=True, type="send_welcome", **options)


FOREIGN = {
    "tenant": "eu",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "small": 7,
    "large": 2**40,
    "yes": True,
    "nothing": None,
    "price": Decimal("9.99"),
    "umlauts": UMLAUTS,
    "list": [1, "two", {"three": [3]}],
    "table": {"deep": {"deeper": "deepest"}},
}

def text(**options):
    return json.dumps({"address": UMLAUTS}, **options)


CASES = {
    "bare": lambda: with_pika(json.dumps({"address": "bare"})),
    "umlauts": lambda: with_pika(text(ensure_ascii=False).encode(), message_id="umlauts"),
    "escaped": lambda: with_pika(text(), message_id="escaped", content_type="application/json; charset=ascii"),
    "headers": lambda: with_pika(
        text(), message_id="headers", headers=FOREIGN, priority=3, reply_to="answers", app_id="shop"
    ),
    "kombu": lambda: with_kombu(
        {"address": UMLAUTS}, message_id="kombu", headers={"tenant": "eu"}, correlation_id="c-1"
    ),
    "kombu-text": lambda: with_kombu(text(), message_id="kombu-text", content_type="application/json"),
    "compressed": lambda: with_kombu({"address": "small"}, message_id="compressed", compression="zlib"),
    "pickled": lambda: with_kombu({"address": "no JSON"}, message_id="pickled", serializer="pickle"),
}
QUEUE, *cases = sys.argv[1:]
for case in cases:
    CASES[case]()
    print("published", case, flush=True)
