//! What the site promises to people: who may what, what another site can't do, what no text can break, and that an
//! action is done once or not at all.

mod access;
mod actions;
mod cross_site;
mod findings;
mod freshness;
mod hostile;
mod queue;
mod rules;
mod running;
mod selection;
mod stage;
mod wild;
