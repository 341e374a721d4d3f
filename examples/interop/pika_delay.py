"""Enqueues jobs for later, through Leveret's delay ladder: python3 pika_delay.py 90 ada@example.org …"""
import json, math, os, sys, time, uuid

import pika

QUEUE = os.environ.get("QUEUE", "mail")


def publish_later(channel, queue, seconds, body, properties):
    """The key has a word for each of 29 levels, highest first: whether the job waits there (2**level times 100 ms)."""
    units = math.ceil(seconds * 10)
    if units <= 0:
        return channel.basic_publish("", queue, body, properties, mandatory=True)
    word = queue.translate({ord("."): "\x1f", ord("*"): "\x1e", ord("#"): "\x1d"})
    channel.queue_bind(queue, "leveret.delay.v1.deliver", "*." * 29 + word)  # changes nothing where Leveret has done it
    key = ".".join(f"{units:029b}") + "." + word
    channel.basic_publish(f"leveret.delay.v1.{units.bit_length() - 1:02}", key, body, properties, mandatory=True)


if __name__ == "__main__":
    connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost")))
    channel = connection.channel()
    channel.confirm_delivery()
    for address in sys.argv[2:]:
        due = time.time() + float(sys.argv[1])
        properties = pika.BasicProperties(
            type="send_welcome",
            message_id=str(uuid.uuid4()),
            delivery_mode=2,
            headers={"leveret-due": int(due * 1000)},  # for the reader: the wait is in the key
        )
        publish_later(channel, QUEUE, due - time.time(), json.dumps({"address": address}), properties)
        print("enqueued", properties.message_id, flush=True)
    connection.close()
