"""Takes messages from a queue as any client would see them, checks them against the schema, and prints one JSON a line.

look.py QUEUE COUNT SCHEMA KIND CLIENT; the broker is at AMQP_URL. KIND is one of the schema's $defs, CLIENT is pika or kombu.
"""
import base64, json, os, sys

import jsonschema

URL = os.environ["AMQP_URL"]


def by_pika(queue, count, show):
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    for number, (delivery, properties, body) in enumerate(channel.consume(queue), start=1):
        show({name: value for name, value in vars(properties).items() if value is not None}, body)
        channel.basic_ack(delivery.delivery_tag)
        if number == count:
            break
    channel.cancel()
    connection.close()


def by_kombu(queue, count, show):
    import kombu

    taken = []

    def take(message):
        texts = {"content_type": message.content_type, "content_encoding": message.content_encoding}
        properties = {name: value for name, value in {**message.properties, **texts}.items() if value is not None}
        properties["headers"] = properties.pop("application_headers", None)
        show(properties, message.body)
        message.ack()
        taken.append(message)

    with kombu.Connection(URL) as connection:
        queue = kombu.Queue(queue, no_declare=True)
        with connection.Consumer(queue, on_message=take, prefetch_count=1):
            while len(taken) < count:
                connection.drain_events()


def as_json(value):
    """What JSON has no word for is told by what it is."""
    if isinstance(value, dict):
        return {name: as_json(value) for name, value in value.items()}
    if isinstance(value, list):
        return [as_json(value) for value in value]
    if isinstance(value, (bytes, bytearray)):
        return {"base64": base64.b64encode(value).decode()}
    return value if isinstance(value, (str, int, float, bool, type(None))) else {"other": str(value)}


def show(properties, body):
    message = {"properties": properties}
    headers = properties.pop("headers", None)
    if headers is not None:
        message["headers"] = as_json(headers)
    try:
        message["body"] = json.loads(body)
    except ValueError:
        message["body"] = as_json(body)
    faults = faults_of(kind, message)
    if "leveret-history" in message.get("headers", {}):
        faults += faults_of("history", json.loads(message["headers"]["leveret-history"]))
    print(json.dumps({"message": message, "faults": faults}), flush=True)


def faults_of(kind, value):
    validator = jsonschema.Draft202012Validator({**schema, "$ref": f"#/$defs/{kind}"})
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(value)]


queue, count, schema, kind, client = sys.argv[1:]
with open(schema, encoding="utf-8") as file:
    schema = json.load(file)
{"pika": by_pika, "kombu": by_kombu}[client](queue, int(count), show)
