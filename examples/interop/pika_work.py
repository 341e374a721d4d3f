"""Runs jobs that a Leveret producer enqueued. It declares nothing: the queue is Leveret's."""
import json, os

import pika


def send_welcome(job):
    print("writing to", job["address"], flush=True)


def run(channel, delivery, properties, body):
    try:
        HANDLERS[properties.type](json.loads(body))
    except Exception as error:  # the broker moves it to mail.dead; see docs/wire-format.md for a retry
        print("failed", properties.message_id, repr(error), flush=True)
        channel.basic_nack(delivery.delivery_tag, requeue=False)
    else:
        channel.basic_ack(delivery.delivery_tag)  # only after the work


HANDLERS = {"send_welcome": send_welcome}
connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost")))
channel = connection.channel()
channel.basic_qos(prefetch_count=10)  # without it the broker sends all that it has
channel.basic_consume(os.environ.get("QUEUE", "mail"), run)
channel.start_consuming()
