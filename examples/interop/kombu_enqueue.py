"""Enqueues jobs that a Leveret worker runs: python3 kombu_enqueue.py ada@example.org …"""
import os, sys, time, uuid

from kombu import Connection

URL = os.environ.get("AMQP_URL", "amqp://localhost")
# confirm_publish: publish returns once the broker has stored the job.
with Connection(URL, transport_options={"confirm_publish": True}) as connection:
    producer = connection.Producer(serializer="json")  # plain JSON, persistent
    for address in sys.argv[1:]:
        job_id = str(uuid.uuid4())  # use it again when you publish the same job again
        producer.publish(
            {"address": address},
            routing_key=os.environ.get("QUEUE", "mail"),  # through the default exchange
            mandatory=True,  # without such a queue this raises
            type="send_welcome",  # the job's name
            message_id=job_id,
            timestamp=int(time.time()),
        )
        print("enqueued", job_id, flush=True)
