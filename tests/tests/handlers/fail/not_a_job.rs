use leveret_worker::Worker;

struct SendWelcome;

async fn send_welcome(_: SendWelcome) {}

fn main() {
    let _ = Worker::builder("memory://").register(send_welcome);
}
