//! Which queues tasks may name, and of which type they are.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    broker::{QueueSpec, QueueType},
    store::{Store, StoreError},
};

/// The queues known here, remembered. Cheap to clone.
#[derive(Clone)]
pub struct QueueBook {
    store: Store,
    default_type: QueueType,
    open: bool,
    known: Arc<RwLock<HashMap<String, QueueType>>>,
}

/// What naming a queue led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    Known,
    /// The list of queues is closed and this one is not on it.
    Closed,
}

impl QueueBook {
    /// `open`: a queue that is named for the first time becomes known, with `default_type`.
    pub fn new(store: Store, default_type: QueueType, open: bool) -> Self {
        Self {
            store,
            default_type,
            open,
            known: Arc::default(),
        }
    }

    /// Makes sure that `name` is a known queue, adding it when the list is open.
    pub async fn name(&self, name: &str) -> Result<Naming, StoreError> {
        if self.remembered(name).is_some() || self.look_up(name).await?.is_some() {
            return Ok(Naming::Known);
        }
        if !self.open {
            return Ok(Naming::Closed);
        }
        self.store.add_queue(name, self.default_type.as_str()).await?;
        self.look_up(name).await?;
        Ok(Naming::Known)
    }

    /// How the queue is declared. One that nobody named here has the default type.
    pub async fn spec(&self, name: &str) -> Result<QueueSpec, StoreError> {
        let known = match self.remembered(name) {
            Some(known) => Some(known),
            None => self.look_up(name).await?,
        };
        Ok(QueueSpec::new(name, known.unwrap_or(self.default_type)))
    }

    fn remembered(&self, name: &str) -> Option<QueueType> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .copied()
    }

    async fn look_up(&self, name: &str) -> Result<Option<QueueType>, StoreError> {
        let Some(row) = self.store.queue(name).await? else {
            return Ok(None);
        };
        let queue_type = QueueType::of_word(&row.queue_type);
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(row.name, queue_type);
        Ok(Some(queue_type))
    }
}
