//! Unstuck: the operations control plane for long tasks that run behind RabbitMQ.
//!
//! `domain` decides and is pure, `store` keeps, `broker` speaks to RabbitMQ, `services` does, `web` shows.
//! ARCHITECTURE.md walks through all of it.

pub mod app;
pub mod broker;
pub mod cli;
pub mod config;
pub mod domain;
pub mod services;
pub mod store;
pub mod telemetry;
pub mod web;
