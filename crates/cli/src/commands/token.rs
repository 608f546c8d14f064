use clap::{Args, ValueEnum};
use keybearer_core::{
    AccountChoice, Broker, ErrorKind, InteractiveRequest, Prompt, Result, SignInMethod,
    SilentRequest, Token as Issued, TokenParameters, TokenType,
};
use serde_json::{Value, json};

use super::below_help;
use crate::failure::ErrorFormat;
use crate::output;
use crate::request::{Limit, Target};
use crate::session::{broker, run};
use crate::terminal::sign_in_options;
use crate::when::local;

const EXAMPLES: &str = "\
Examples:
  keybearer token --scope https://management.azure.com/.default
  eval \"$(keybearer token --scope https://storage.azure.com/.default --output env)\"";

/// Print an access token
///
/// Without a prompt if possible; otherwise you are asked to sign in, as with `keybearer login`.
#[derive(Args, Debug)]
#[command(after_help = below_help(EXAMPLES))]
pub(crate) struct Token {
    /// Scope of the token; repeat for more scopes of the same resource
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    #[command(flatten)]
    target: Target,
    /// Account to use: user name or home account id [default: the only one, otherwise ask]
    #[arg(long, value_name = "UPN|HOME_ID")]
    account: Option<String>,
    /// Claims challenge to satisfy
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// Sign in even if there is a token
    #[arg(long, conflicts_with = "silent")]
    interactive: bool,
    /// Never prompt; exit with code 3 instead
    #[arg(long)]
    silent: bool,
    /// What to print
    #[arg(long, value_name = "FORMAT", default_value = "token")]
    output: Format,
    #[command(flatten)]
    limit: Limit,
}

/// What is printed on standard output.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// The access token
    Token,
    /// JSON with token, expiry (Unix seconds), scopes, account and source
    Json,
    /// A shell command for eval that exports AZURE_ACCESS_TOKEN
    Env,
    /// JSON like that of `az account get-access-token`
    Az,
}

/// When the person is prompted.
#[derive(Clone, Copy)]
enum PromptFlags {
    Never,
    IfNeeded,
    Always,
}

impl Token {
    pub(crate) fn run(self) -> Result<()> {
        let account = self.account.as_deref().map_or(AccountChoice::Only, AccountChoice::named);
        let claims = self.claims.as_deref();
        let parameters = self.target.request(&self.scopes, account, claims, self.limit)?;
        let prompt = match (self.silent, self.interactive) {
            (true, _) => PromptFlags::Never,
            (_, true) => PromptFlags::Always,
            _ => PromptFlags::IfNeeded,
        };
        let token = run(acquire(parameters, prompt))?;
        match self.output {
            Format::Token => output::text(&format!("{}\n", token.access_token.expose())),
            Format::Env => output::text(&env(&token)),
            Format::Json => output::json(&json(&token)),
            Format::Az => output::json(&az(&token)),
        }
    }

    pub(crate) fn error_format(&self) -> ErrorFormat {
        if self.output == Format::Json { ErrorFormat::Json } else { ErrorFormat::Text }
    }
}

async fn acquire(parameters: TokenParameters, prompt: PromptFlags) -> Result<Issued> {
    let (broker, start) = (broker(), std::time::Instant::now());
    let limit = parameters.timeout;
    let sign_in_options = sign_in_options(SignInMethod::Auto);
    let mut interactive =
        InteractiveRequest { parameters, prompt: Prompt::IfNeeded, sign_in_options };
    if matches!(prompt, PromptFlags::Always) {
        interactive.prompt = match interactive.parameters.account {
            AccountChoice::Only | AccountChoice::Default => Prompt::SelectAccount,
            AccountChoice::LoginHint(_) | AccountChoice::Exact(_) => Prompt::Login,
        };
        return broker.acquire_interactive(interactive).await;
    }
    let silent = SilentRequest { parameters: interactive.parameters.clone() };
    let refusal = match broker.acquire_silent(silent).await {
        Err(error) => error,
        token => return token,
    };
    let ErrorKind::InteractionRequired { claims, .. } = refusal.kind() else { return Err(refusal) };
    if matches!(prompt, PromptFlags::Never) {
        return Err(refusal.clone().with_hint("run `keybearer login`, or leave out `--silent`"));
    }
    let parameters = &mut interactive.parameters;
    parameters.claims = parameters.claims.take().or_else(|| claims.clone());
    parameters.timeout = limit.saturating_sub(start.elapsed());
    broker.acquire_interactive(interactive).await
}

const fn token_type(token: &Issued) -> &'static str {
    match token.token_type {
        TokenType::Bearer => "Bearer",
        TokenType::ProofOfPossession => "pop",
    }
}

fn json(token: &Issued) -> Value {
    let account = &token.account;
    json!({
        "access_token": token.access_token.expose(),
        "token_type": token_type(token),
        "expires_on": token.expires_on.unix_seconds(),
        "refresh_on": token.refresh_on.map(|moment| moment.unix_seconds()),
        "scopes": token.granted_scopes.iter().collect::<Vec<_>>(),
        "account": super::accounts::json(account),
        "source": token.source.as_str(),
    })
}

/// JSON as printed by Azure CLI for a directory, without a subscription.
fn az(token: &Issued) -> Value {
    json!({
        "accessToken": token.access_token.expose(),
        "expiresOn": local(token.expires_on),
        "expires_on": token.expires_on.unix_seconds(),
        "tenant": token.account.realm.as_str(),
        "tokenType": token_type(token),
    })
}

/// The export command, quoted for every POSIX shell.
fn env(token: &Issued) -> String {
    format!("export AZURE_ACCESS_TOKEN='{}'\n", token.access_token.expose().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use keybearer_core::{
        AccessToken, Account, HomeAccountId, ScopeSet, TenantId, Timestamp, TokenSource,
    };

    use super::*;

    fn token(secret: &str) -> Issued {
        Issued {
            access_token: AccessToken::new(secret.to_owned()),
            token_type: TokenType::Bearer,
            expires_on: Timestamp::from_unix_seconds(1_700_000_000),
            refresh_on: None,
            granted_scopes: ScopeSet::parse(&["https://storage.azure.com/.default"]).unwrap(),
            account: Account {
                home_account_id: HomeAccountId::parse("oid.tid").unwrap(),
                environment: "login.windows.net".into(),
                realm: TenantId::parse("tid").unwrap(),
                local_account_id: "oid".into(),
                username: "dev@contoso.example".into(),
                name: None,
            },
            id_token: None,
            source: TokenSource::Cache,
        }
    }

    #[test]
    fn json_says_what_is_known_about_the_token() {
        let expected = json!({
            "access_token": "at", "token_type": "Bearer", "expires_on": 1_700_000_000,
            "refresh_on": null, "scopes": ["https://storage.azure.com/.default"],
            "account": {
                "username": "dev@contoso.example", "name": null, "tenant_id": "tid",
                "home_account_id": "oid.tid", "local_account_id": "oid",
                "environment": "login.windows.net",
            },
            "source": "cache",
        });
        assert_eq!(json(&token("at")), expected);
    }

    #[test]
    fn az_has_the_members_that_sdks_read() {
        let answer = az(&token("at"));
        assert_eq!(
            (&answer["accessToken"], &answer["tokenType"]),
            (&json!("at"), &json!("Bearer"))
        );
        assert_eq!(
            (&answer["expires_on"], &answer["tenant"]),
            (&json!(1_700_000_000), &json!("tid"))
        );
        assert_eq!(answer["expiresOn"].as_str().unwrap().len(), "2023-11-14 22:13:20.000000".len());
    }

    #[test]
    fn a_shell_gets_the_token_whatever_it_is_made_of() {
        let line = env(&token("a'b $(c)"));
        assert_eq!(line, "export AZURE_ACCESS_TOKEN='a'\\''b $(c)'\n");
        let script = format!("{line}printf %s \"$AZURE_ACCESS_TOKEN\"");
        let shell = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(shell.stdout, b"a'b $(c)");
    }
}
