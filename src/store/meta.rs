//! Single values that belong to the database as a whole.

use super::{
    Lane, Store, StoreError,
    db::{Sql, execute, fetch_optional, fetch_scalar, sql},
};

const ONE: Sql = sql!("SELECT value FROM meta WHERE key = $1");
const ADD: Sql = sql!("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING");

impl Store {
    /// Whether `name` was marked with `set_mark`.
    pub async fn mark(&self, name: &str) -> Result<bool, StoreError> {
        let mut conn = self.read().await?;
        Ok(fetch_optional!(&mut conn, (String,), ONE, name)?.is_some())
    }

    /// Marks the database with `name`, for good.
    pub async fn set_mark(&self, name: &str) -> Result<(), StoreError> {
        let mut tx = self.begin(Lane::Shared).await?;
        execute!(&mut tx, ADD, name, "set")?;
        tx.commit().await
    }

    /// The secret called `name`: 256 random bits, made at its first use and the same for every process ever after.
    pub async fn secret(&self, name: &str) -> Result<String, StoreError> {
        let found = {
            let mut conn = self.read().await?;
            fetch_optional!(&mut conn, (String,), ONE, name)?
        };
        if let Some((value,)) = found {
            return Ok(value);
        }
        let made: String = rand::random::<[u8; 32]>()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let mut tx = self.begin(Lane::Shared).await?;
        execute!(&mut tx, ADD, name, made)?;
        // Another process may have been first.
        let kept = fetch_scalar!(&mut tx, String, ONE, name)?;
        tx.commit().await?;
        Ok(kept)
    }
}
