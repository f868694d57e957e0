//! Speaks to RabbitMQ: the only module that names `lapin` and `reqwest`.
