"""Like pika_work.py, and what fails is tried again: three attempts, ten seconds apart, with the record that Leveret keeps."""
import json, os, re, time

import pika
from pika_delay import publish_later

QUEUE = os.environ.get("QUEUE", "mail")
WAIT = float(os.environ.get("WAIT", "10"))
# The broker's bookkeeping is never published again.
BOOKKEEPING = re.compile(r"x-death$|x-(first|last)-death-|x-(opt-)?delivery-count$|x-acquired-count$|B?CC$|leveret-resent$")


def send_welcome(job):
    if job["address"].startswith("refused"):
        raise ValueError("no such address")
    print("writing to", job["address"], flush=True)


def retry(channel, properties, body, error):
    """Publishes the next attempt, the message as it came but for these headers; returns once it is stored."""
    headers = {name: value for name, value in (properties.headers or {}).items() if not BOOKKEEPING.match(name)}
    headers.update({
        "leveret-attempt": headers.get("leveret-attempt", 1) + 1,
        "leveret-hop": headers.get("leveret-hop", 0) + 1,
        "leveret-failure-reason": "failed",
        "leveret-failure-error": str(error)[:1000],
        "leveret-failure-queue": QUEUE,
        "leveret-failure-at-ms": int(time.time() * 1000),
        "leveret-failure-worker": "pika_retry.py",
    })
    properties.headers = headers
    properties.delivery_mode = 2
    publish_later(channel, QUEUE, WAIT, body, properties)


def run(channel, delivery, properties, body):
    attempt = (properties.headers or {}).get("leveret-attempt", 1)
    try:
        HANDLERS[properties.type](json.loads(body))
    except Exception as error:
        print("failed", attempt, properties.message_id, flush=True)
        if attempt < 3 and properties.message_id:
            retry(channel, properties, body, error)
        else:
            return channel.basic_nack(delivery.delivery_tag, requeue=False)  # to mail.dead
    channel.basic_ack(delivery.delivery_tag)  # after the work, or after what follows is stored


HANDLERS = {"send_welcome": send_welcome}
connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost")))
channel = connection.channel()
channel.confirm_delivery()
channel.basic_qos(prefetch_count=10)
channel.basic_consume(QUEUE, run)
channel.start_consuming()
