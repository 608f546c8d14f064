//! Lists the blob containers of a storage account, signing in through the broker.
//!
//! `list-containers ACCOUNT_URL [--tenant TENANT] [--authority URL] [--login-hint UPN]`
#![allow(clippy::print_stdout, reason = "the program prints the list")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::http::Url;
use azure_storage_blob::BlobServiceClient;
use futures_util::TryStreamExt;
use keybearer::{InteractiveBrowserBrokerCredential, InteractiveBrowserBrokerCredentialOptions};

const STORAGE: &[&str] = &["https://storage.azure.com/.default"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let account_url = arguments.next().ok_or("usage: list-containers ACCOUNT_URL [OPTION]...")?;
    let mut options = InteractiveBrowserBrokerCredentialOptions {
        timeout: Some(Duration::from_secs(120)),
        ..Default::default()
    };
    while let Some(option) = arguments.next() {
        let value = Some(arguments.next().ok_or_else(|| format!("{option} needs a value"))?);
        match option.as_str() {
            "--tenant" => options.tenant_id = value,
            "--authority" => options.authority = value,
            "--login-hint" => options.login_hint = value,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    let credential = InteractiveBrowserBrokerCredential::new(Some(options))?;

    // `acquire` also returns the account and the source of the token, which the client does not show.
    let token = credential.acquire(STORAGE, None).await?;
    println!("token for {} from {}", token.account.username, token.source.as_str());

    // A trailing slash would become part of every container's address.
    let url = Url::parse(account_url.trim_end_matches('/'))?;
    let credential: Arc<dyn TokenCredential> = credential;
    let service = BlobServiceClient::new(url, Some(credential), None)?;
    let mut containers = service.list_containers(None)?;
    while let Some(container) = containers.try_next().await? {
        println!("container {}", container.name.unwrap_or_default());
    }
    Ok(())
}
