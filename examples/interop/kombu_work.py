"""Runs jobs that a Leveret producer enqueued. It declares nothing: the queue is Leveret's."""
import os

from kombu import Connection, Queue


def send_welcome(job):
    print("writing to", job["address"], flush=True)


def run(message):
    try:
        HANDLERS[message.properties["type"]](message.decode())
    except Exception as error:  # the broker moves it to mail.dead; see docs/wire-format.md for a retry
        print("failed", message.properties.get("message_id"), repr(error), flush=True)
        message.reject(requeue=False)
    else:
        message.ack()  # only after the work


HANDLERS = {"send_welcome": send_welcome}
QUEUE = Queue(os.environ.get("QUEUE", "mail"), no_declare=True)
with Connection(os.environ.get("AMQP_URL", "amqp://localhost")) as connection:
    with connection.Consumer(QUEUE, on_message=run, accept=["json"], prefetch_count=10):
        while True:
            connection.drain_events()
