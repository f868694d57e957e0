//! Users, sessions and tokens.

use std::time::Duration;

use unstuck::{
    domain::{
        access::{Role, Scope},
        audit::AuditEntry,
        time::Time,
    },
    store::{Joining, NewSession, NewToken, NewUser, Sight, Store, User},
};
use uuid::Uuid;

use crate::support::store::each_store;

const IDLE: Duration = Duration::from_secs(1800);
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

fn audit(action: &str) -> AuditEntry {
    AuditEntry::new("system", action, "user", "a@b.example")
}

async fn join(store: &Store, email: &str, role: Role, joining: Joining) -> bool {
    let user = NewUser {
        id: Uuid::now_v7(),
        email: email.into(),
        password_hash: "hash".into(),
        role,
    };
    store
        .add_user(&user, joining, audit("user_add"))
        .await
        .expect("stored")
}

async fn user(store: &Store, email: &str) -> User {
    store.user_by_email(email).await.expect("read").expect("a user")
}

async fn open(store: &Store, user_id: Uuid, token_hash: &str) -> bool {
    let session = NewSession {
        token_hash,
        user_id,
        lifetime: LIFETIME,
        address: "127.0.0.1",
        user_agent: "test",
    };
    store
        .open_session(&session, audit("login"))
        .await
        .expect("stored")
}

async fn alive(store: &Store, token_hash: &str) -> bool {
    store
        .session(token_hash, IDLE, Sight::Person)
        .await
        .expect("read")
        .is_some()
}

#[tokio::test]
async fn an_email_address_has_one_user() {
    each_store(|store, _| async move {
        assert!(join(&store, "a@b.example", Role::Viewer, Joining::Others).await);
        assert!(!join(&store, "a@b.example", Role::Admin, Joining::Others).await);
        let kept = user(&store, "a@b.example").await;
        assert_eq!(
            (kept.role, kept.disabled_at, kept.last_login_at),
            (Role::Viewer, None, None)
        );
        assert_eq!(store.users("", 10).await.expect("read"), [kept]);
    })
    .await;
}

#[tokio::test]
async fn the_first_administrator_joins_nobody() {
    each_store(|store, _| async move {
        assert!(!store.has_users().await.expect("read"));
        assert!(join(&store, "a@b.example", Role::Admin, Joining::Nobody).await);
        assert!(!join(&store, "other@b.example", Role::Admin, Joining::Nobody).await);
        assert!(store.has_users().await.expect("read"));
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_when_idle_when_old_and_when_closed() {
    each_store(|store, clock| async move {
        join(&store, "a@b.example", Role::Viewer, Joining::Others).await;
        let id = user(&store, "a@b.example").await.id;
        for token in ["idle", "busy", "closed"] {
            assert!(open(&store, id, token).await);
        }
        assert!(user(&store, "a@b.example").await.last_login_at.is_some());
        store
            .close_session("closed", audit("logout"))
            .await
            .expect("closed");
        assert!(!alive(&store, "closed").await);
        for _ in 0..24 {
            clock.advance(IDLE - Duration::from_secs(1));
            assert!(alive(&store, "busy").await, "a session that is used stays");
        }
        assert!(!alive(&store, "idle").await);
        clock.advance(Duration::from_secs(60));
        assert!(!alive(&store, "busy").await, "no session outlives its lifetime");
    })
    .await;
}

#[tokio::test]
async fn a_new_password_ends_every_session() {
    each_store(|store, _| async move {
        join(&store, "a@b.example", Role::Viewer, Joining::Others).await;
        let id = user(&store, "a@b.example").await.id;
        open(&store, id, "one").await;
        store
            .set_password(id, "new hash", audit("user_reset_password"))
            .await
            .expect("stored");
        assert!(!alive(&store, "one").await);
        assert_eq!(user(&store, "a@b.example").await.password_hash, "new hash");
    })
    .await;
}

#[tokio::test]
async fn a_rehash_never_undoes_a_new_password() {
    each_store(|store, _| async move {
        join(&store, "a@b.example", Role::Viewer, Joining::Others).await;
        let id = user(&store, "a@b.example").await.id;
        store
            .set_password(id, "new hash", audit("user_reset_password"))
            .await
            .expect("stored");
        store
            .rehash(id, "hash", "stronger hash of the old one")
            .await
            .expect("stored");
        assert_eq!(user(&store, "a@b.example").await.password_hash, "new hash");
    })
    .await;
}

#[tokio::test]
async fn a_disabled_user_has_no_session_and_gets_none() {
    each_store(|store, _| async move {
        join(&store, "a@b.example", Role::Viewer, Joining::Others).await;
        let id = user(&store, "a@b.example").await.id;
        open(&store, id, "one").await;
        assert!(
            store
                .disable_user(id, audit("user_disable"))
                .await
                .expect("stored")
        );
        assert!(!alive(&store, "one").await);
        assert!(!open(&store, id, "two").await);
    })
    .await;
}

#[tokio::test]
async fn the_last_administrator_can_not_be_disabled() {
    each_store(|store, _| async move {
        for email in ["a@b.example", "b@b.example"] {
            join(&store, email, Role::Admin, Joining::Others).await;
        }
        let (a, b) = (
            user(&store, "a@b.example").await.id,
            user(&store, "b@b.example").await.id,
        );
        let (one, other) = tokio::join!(
            store.disable_user(a, audit("user_disable")),
            store.disable_user(b, audit("user_disable"))
        );
        let disabled = [one.expect("stored"), other.expect("stored")];
        assert_eq!(
            disabled.iter().filter(|done| **done).count(),
            1,
            "two at once leave one"
        );
    })
    .await;
}

#[tokio::test]
async fn the_other_sessions_of_a_user_end_and_this_one_stays() {
    each_store(|store, _| async move {
        join(&store, "a@b.example", Role::Viewer, Joining::Others).await;
        let id = user(&store, "a@b.example").await.id;
        for token in ["here", "there", "elsewhere"] {
            open(&store, id, token).await;
        }
        assert_eq!(store.sessions_of(id, IDLE).await.expect("read").len(), 3);
        assert_eq!(
            store
                .close_other_sessions(id, "here", audit("logout_others"))
                .await
                .expect("closed"),
            2
        );
        assert!(alive(&store, "here").await && !alive(&store, "there").await);
    })
    .await;
}

#[tokio::test]
async fn a_token_is_valid_until_it_expires_or_is_revoked() {
    each_store(|store, clock| async move {
        let now = store.now().await.expect("a time");
        let token = |hash: &str, expires_at: Option<Time>| NewToken {
            id: Uuid::now_v7(),
            name: "ci".into(),
            token_hash: hash.into(),
            scopes: vec![Scope::Produce, Scope::Read],
            created_by: "system".into(),
            expires_at,
        };
        let (lasting, brief) = (
            token("lasting", None),
            token("brief", Some(now + Duration::from_secs(60))),
        );
        for new in [&lasting, &brief] {
            store.add_token(new, audit("token_create")).await.expect("stored");
        }
        let found = store
            .valid_token("lasting")
            .await
            .expect("read")
            .expect("a token");
        assert_eq!(
            (found.id, found.scopes),
            (lasting.id, vec![Scope::Produce, Scope::Read])
        );
        assert!(store.valid_token("brief").await.expect("read").is_some());
        clock.advance(Duration::from_secs(61));
        assert!(store.valid_token("brief").await.expect("read").is_none());
        assert!(
            store.tokens(None, 10).await.expect("read")[0]
                .last_used_at
                .is_some()
        );
        assert!(
            store
                .revoke_token(lasting.id, audit("token_revoke"))
                .await
                .expect("stored")
        );
        assert!(
            !store
                .revoke_token(lasting.id, audit("token_revoke"))
                .await
                .expect("stored")
        );
        assert!(store.valid_token("lasting").await.expect("read").is_none());
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_made_once() {
    each_store(|store, _| async move {
        let (one, other) = tokio::join!(store.secret("device_key"), store.secret("device_key"));
        assert_eq!(one.expect("a secret"), other.expect("the same"));
        assert_ne!(
            store.secret("device_key").await.expect("a"),
            store.secret("another").await.expect("b")
        );
    })
    .await;
}
