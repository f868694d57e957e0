//! `unstuck user` and `unstuck token`: people and programs, managed from the machine itself.

use clap::{Args, Subcommand};
use uuid::Uuid;

use crate::{
    config::Config,
    domain::{
        access::{Role, Scope},
        time::Time,
    },
    services::accounts::Accounts,
    store::Store,
};

/// Who the audit log names: whoever may start this program on the database.
const ACTOR: &str = "cli";
/// Rows read at once by the lists.
const PAGE: i64 = 200;

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a person, and print a first password.
    Add {
        email: String,
        /// viewer sees, operator also acts, admin also manages people.
        #[arg(long, value_name = "ROLE", default_value = "viewer")]
        role: Role,
    },
    /// List everybody.
    List,
    /// Make a new password, print it, and end the person's sessions.
    ResetPassword { email: String },
    /// Let somebody in no longer.
    Disable { email: String },
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token, and print it once.
    Create(TokenCreateArgs),
    /// List all tokens, without their secrets.
    List,
    /// End a token.
    Revoke { id: Uuid },
}

#[derive(Debug, Args)]
pub(super) struct TokenCreateArgs {
    /// What it is for.
    name: String,
    /// produce, work, read, operate, report; several with commas.
    #[arg(long, value_name = "SCOPES", required = true, value_delimiter = ',')]
    scopes: Vec<Scope>,
    /// RFC 3339; never when not given.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Time>,
}

async fn accounts(config: &Config) -> anyhow::Result<Accounts> {
    Ok(Accounts::new(Store::open(&config.database_url).await?, None))
}

pub(super) async fn run_user(command: UserCommand, config: &Config) -> anyhow::Result<()> {
    let accounts = accounts(config).await?;
    match command {
        UserCommand::Add { email, role } => {
            let added = accounts.add_user(ACTOR, &email, role, None).await?;
            println!("{} may sign in as {role}", added.email);
            if let Some(password) = added.password {
                println!("first password: {password}");
            }
        }
        UserCommand::List => {
            let mut after = String::new();
            loop {
                let page = accounts.users(&after, PAGE).await?;
                let Some(last) = page.last() else { return Ok(()) };
                after = last.email.clone();
                for user in page {
                    let standing = if user.disabled_at.is_some() {
                        "disabled"
                    } else {
                        "active"
                    };
                    println!("{}\t{}\t{standing}", user.email, user.role);
                }
            }
        }
        UserCommand::ResetPassword { email } => {
            println!("new password: {}", accounts.reset_password(ACTOR, &email).await?);
        }
        UserCommand::Disable { email } => {
            accounts.disable_user(ACTOR, &email).await?;
            println!("{email} may not sign in any longer");
        }
    }
    Ok(())
}

pub(super) async fn run_token(command: TokenCommand, config: &Config) -> anyhow::Result<()> {
    let accounts = accounts(config).await?;
    match command {
        TokenCommand::Create(args) => {
            let issued = accounts
                .create_token(ACTOR, &args.name, &args.scopes, args.expires_at)
                .await?;
            println!("id:    {}\ntoken: {}", issued.id, issued.secret);
        }
        TokenCommand::List => {
            let mut after = None;
            loop {
                let page = accounts.tokens(after, PAGE).await?;
                let Some(last) = page.last() else { return Ok(()) };
                after = Some(last.id);
                for token in page {
                    let scopes = token
                        .scopes
                        .iter()
                        .map(|scope| scope.as_str())
                        .collect::<Vec<_>>()
                        .join(",");
                    let standing = if token.revoked_at.is_some() {
                        "revoked"
                    } else {
                        "valid"
                    };
                    println!("{}\t{}\t{scopes}\t{standing}", token.id, token.name);
                }
            }
        }
        TokenCommand::Revoke { id } => {
            accounts.revoke_token(ACTOR, id).await?;
            println!("{id} is no longer valid");
        }
    }
    Ok(())
}
