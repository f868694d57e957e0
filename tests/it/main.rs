//! The integration tests: one binary, so that the crate links once.

mod api;
mod architecture;
mod catalogue;
mod detector;
mod faults;
mod journeys;
mod lab;
mod model;
mod pages;
mod rabbitmq;
mod store;
mod support;
mod tickets;
mod web;
mod worker;
