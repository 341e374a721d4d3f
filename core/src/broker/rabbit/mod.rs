//! RabbitMQ behind the seam.
