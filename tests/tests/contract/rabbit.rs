//! A real RabbitMQ as a fixture: the node that the process shares, or one of the test's own.

use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use lapin::options::{BasicPublishOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use leveret::Message;
use leveret::broker::{Broker, Destination, rabbit_broker};
use leveret_tests::node::Version;
use leveret_tests::signal::eventually;
use leveret_tests::{Node, logs, shared};

use super::{Depth, Fixture};

pub(crate) struct RabbitFixture {
    broker: Arc<dyn Broker>,
    operator: Channel,
    _connection: Connection,
    node: OwnOrShared,
}

enum OwnOrShared {
    Own(Box<Node>),
    Shared(&'static Node),
}

impl Deref for OwnOrShared {
    type Target = Node;

    fn deref(&self) -> &Node {
        match self {
            Self::Own(node) => node,
            Self::Shared(node) => node,
        }
    }
}

impl RabbitFixture {
    pub(crate) async fn shared() -> Self {
        Self::on(OwnOrShared::Shared(shared().await)).await
    }

    pub(crate) async fn alone() -> Self {
        Self::on(OwnOrShared::Own(Box::new(Node::start().await))).await
    }

    async fn on(node: OwnOrShared) -> Self {
        logs::init();
        let url = node.amqp_url();
        let connection = Connection::connect(&url, ConnectionProperties::default())
            .await
            .unwrap();
        Self {
            broker: rabbit_broker(&url.parse().unwrap()).unwrap(),
            operator: connection.create_channel().await.unwrap(),
            _connection: connection,
            node,
        }
    }

    async fn eval(&self, erlang: &str) -> String {
        self.node.ctl(&["eval", erlang]).await.unwrap()
    }
}

#[async_trait]
impl Fixture for RabbitFixture {
    fn broker(&self) -> Arc<dyn Broker> {
        Arc::clone(&self.broker)
    }

    async fn version(&self) -> Version {
        self.node.version().await
    }

    async fn depth(&self, queue: &str) -> Option<Depth> {
        let depth = self.node.depth(queue).await?;
        Some(Depth {
            ready: depth.ready,
            unacked: depth.unacked,
            total: depth.messages,
        })
    }

    async fn publish_raw(&self, destination: &Destination, message: &Message) {
        let Destination { exchange, routing_key } = destination;
        let mut properties = BasicProperties::default().with_delivery_mode(2);
        if let Some(id) = &message.properties.message_id {
            properties = properties.with_message_id(id.as_str().into());
        }
        let options = BasicPublishOptions::default();
        let publish = self.operator.basic_publish(
            exchange.as_str().into(),
            routing_key.as_str().into(),
            options,
            &message.body,
            properties,
        );
        publish.await.unwrap().await.unwrap();
    }

    async fn delete_queue(&self, queue: &str) {
        let options = QueueDeleteOptions::default();
        self.operator.queue_delete(queue.into(), options).await.unwrap();
    }

    async fn cut(&self, connection: &str) {
        // The broker lists a connection a moment after it was opened.
        let close = format!(
            r#"Name = {{<<"connection_name">>, longstr, <<"{connection}">>}},
               Named = fun(P) ->
                   [{{_, Properties}}] = rabbit_networking:connection_info(P, [client_properties]),
                   lists:member(Name, Properties)
               end,
               Close = fun(P) -> Named(P) andalso ok =:= rabbit_networking:close_connection(P, "cut") end,
               lists:any(Close, rabbit_networking:connections())."#
        );
        eventually("the connection is listed and cut", async || {
            self.eval(&close).await.trim() == "true"
        })
        .await;
    }

    async fn close_channels_of(&self, _queue: &str) {
        // As if the client had acked what it never got: an error of the channel's own, in every version.
        let close =
            "[gen_server:cast(P, {method, {'basic.ack', 99999, false}, none, noflow}) || P <- rabbit_channel:list(),
                      [{_, Held}] <- [rabbit_channel:info(P, [messages_unacknowledged])], Held > 0].";
        self.eval(close).await;
    }

    async fn set_alarm(&self, raised: bool) {
        let arguments: &[&str] = match raised {
            true => &["set_vm_memory_high_watermark", "absolute", "1MB"],
            false => &["set_vm_memory_high_watermark", "0.9"],
        };
        self.node.ctl(arguments).await.unwrap();
    }
}
