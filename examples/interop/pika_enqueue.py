"""Enqueues jobs that a Leveret worker runs: python3 pika_enqueue.py ada@example.org …"""
import json, os, sys, time, uuid

import pika

QUEUE = os.environ.get("QUEUE", "mail")
connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost")))
channel = connection.channel()
channel.confirm_delivery()  # basic_publish returns once the broker has stored the job
for address in sys.argv[1:]:
    properties = pika.BasicProperties(
        type="send_welcome",  # the job's name
        message_id=str(uuid.uuid4()),  # the job's id: use it again when you publish the same job again
        content_type="application/json",
        delivery_mode=2,  # persistent
        timestamp=int(time.time()),
    )
    # mandatory: without such a queue this raises UnroutableError; a full one raises NackError.
    channel.basic_publish("", QUEUE, json.dumps({"address": address}), properties, mandatory=True)
    print("enqueued", properties.message_id, flush=True)
connection.close()
