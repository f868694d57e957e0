//! Workers and the programs they run, with real processes.

mod exec;
mod guard;
mod process;
