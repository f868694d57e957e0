//! Workers and the programs they run, with real processes.

mod binary;
mod doctor;
mod drain;
mod examples;
mod exec;
mod guard;
mod outage;
mod process;
mod proxy;
mod tracers;
mod work;
mod workshop;
