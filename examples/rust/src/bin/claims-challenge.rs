//! Lists the blob containers of a storage account repeatedly, and answers the claims challenges of the
//! account.
//!
//! `claims-challenge ACCOUNT_URL [--tenant TENANT] [--authority URL] [--login-hint UPN]`. Press Enter
//! for the next list; the end of the input ends the program.
//!
//! Disable the user account, change its password or apply a Conditional Access policy between two lists:
//! the storage account answers with a claims challenge (continuous access evaluation). The policy
//! gets a new token with these claims, with a prompt if necessary, and the list continues. The client
//! of `list-containers` would fail.
#![allow(clippy::print_stdout, reason = "the program prints the lists")]

use std::error::Error;
use std::time::Duration;

use azure_core::http::{ClientOptions, Url};
use azure_storage_blob::{BlobServiceClient, BlobServiceClientOptions};
use futures_util::TryStreamExt;
use keybearer::{
    InteractiveBrowserBrokerCredential, InteractiveBrowserBrokerCredentialOptions,
    claims_challenge_policy,
};

const STORAGE: &str = "https://storage.azure.com/.default";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let account_url = arguments.next().ok_or("usage: claims-challenge ACCOUNT_URL [OPTION]...")?;
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

    // The policy adds the tokens, so the client gets no credential.
    let client_options = ClientOptions {
        per_try_policies: vec![claims_challenge_policy(credential, [STORAGE])],
        ..Default::default()
    };
    let options = BlobServiceClientOptions { client_options, ..Default::default() };
    // A trailing slash would become part of every container's address.
    let url = Url::parse(account_url.trim_end_matches('/'))?;
    let service = BlobServiceClient::new(url, None, Some(options))?;

    loop {
        let mut containers = service.list_containers(None)?;
        while let Some(container) = containers.try_next().await? {
            println!("container {}", container.name.unwrap_or_default());
        }
        println!("Enter for the next list");
        let read = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
        if read.await?? == 0 {
            return Ok(());
        }
    }
}
