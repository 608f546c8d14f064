use std::sync::Arc;

use anyhow::Result;
use keybearer_host::{Environment, Host, Paths};
use keybearer_testkit::provider::{CONTOSO, User};

use crate::engine::EngineAt;

/// Signs so many different people in, into the broker's own store below these paths.
///
/// # Errors
/// If the store or a sign-in fails.
pub async fn connect_accounts(
    paths: &Paths,
    environment: &Environment,
    count: usize,
) -> Result<()> {
    let effects = Host::durable(paths, environment).effects();
    let at = EngineAt::open(Arc::clone(&effects.store), Arc::clone(&effects.keys)).await?;
    for number in 0..count {
        // Lives as long as the program: the doubles know people as constants.
        let text = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        at.sign_in(User {
            username: text(format!("person{number}@contoso.example")),
            name: text(format!("Person {number}")),
            oid: text(format!("aaaaaaaa-0000-4000-8000-{number:012}")),
            home: CONTOSO,
        })
        .await?;
    }
    Ok(())
}
