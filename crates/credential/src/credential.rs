use std::sync::Arc;

use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use keybearer_client::{AuthenticationRecord, Credential, TokenQuery};
use keybearer_core::{Broker, Error, ErrorKind, ProofOfPossession, Token};

use crate::error::to_azure;
use crate::options::InteractiveBrowserBrokerCredentialOptions;

/// Signs a person in through the operating system's authentication broker and provides their tokens
/// to Azure clients.
///
/// Returns a token without prompting if the broker already has the account; otherwise the person
/// signs in once, for all apps. Every request ends within
/// [`timeout`](InteractiveBrowserBrokerCredentialOptions::timeout).
#[derive(Debug)]
pub struct InteractiveBrowserBrokerCredential(Credential);

/// The properties of a requested token besides its scopes.
///
/// The SDK's `TokenRequestOptions` have no fields for them. Put this type into the `Context` of a
/// client's method options, or of `TokenRequestOptions`, to pass it to `get_token`:
///
/// ```
/// # use azure_core::{credentials::TokenRequestOptions, http::Context};
/// let wanted = keybearer::AcquireOptions { enable_cae: true, ..Default::default() };
/// let mut options = TokenRequestOptions::default();
/// options.method_options.context = Context::new().with_value(wanted);
/// ```
#[derive(Clone, Debug, Default)]
pub struct AcquireOptions {
    /// Another directory than the credential's; the options of the credential must allow it.
    pub tenant_id: Option<String>,
    /// A claims challenge of a resource, as decoded JSON.
    pub claims: Option<String>,
    /// Whether the caller handles claims challenges (continuous access evaluation).
    pub enable_cae: bool,
    /// What the token is bound to. With [`signed_request`](crate::signed_request) the token is a
    /// finished signed HTTP request, valid for that request only; send it as
    /// `Authorization: PoP TOKEN`. Default: a bearer token.
    pub proof_of_possession: Option<ProofOfPossession>,
}

impl InteractiveBrowserBrokerCredential {
    /// Makes the credential. It contacts no broker and prompts no person before the first request.
    ///
    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) names the option that is wrong.
    pub fn new(
        options: Option<InteractiveBrowserBrokerCredentialOptions>,
    ) -> azure_core::Result<Arc<Self>> {
        let options = options.unwrap_or_default().shared();
        Ok(Arc::new(Self(Credential::new(&options).map_err(to_azure)?)))
    }

    /// Makes the credential with the caller's broker instead of this machine's. It does not read the
    /// environment: the default of `authority` is the public cloud.
    ///
    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) names the option that is wrong.
    pub fn with_broker(
        broker: Arc<dyn Broker>,
        options: Option<InteractiveBrowserBrokerCredentialOptions>,
    ) -> azure_core::Result<Arc<Self>> {
        let options = options.unwrap_or_default().shared();
        Ok(Arc::new(Self(Credential::with_broker(&options, broker).map_err(to_azure)?)))
    }

    /// Returns a token and what is known about it: its account, its source and when to renew it. Works
    /// on any async runtime.
    ///
    /// ```no_run
    /// # use keybearer::{AcquireOptions, Error, InteractiveBrowserBrokerCredential, signed_request};
    /// # async fn ask(credential: &InteractiveBrowserBrokerCredential) -> Result<(), Error> {
    /// let storage = ["https://storage.azure.com/.default"];
    /// let token = credential.acquire(&storage, None).await?;
    /// println!("for {} until {:?}", token.account.username, token.expires_on);
    ///
    /// // A token that is valid for one request only.
    /// let request = signed_request("GET", "https://graph.microsoft.com/v1.0/me", Some("nonce"))?;
    /// let options = AcquireOptions { proof_of_possession: Some(request), ..Default::default() };
    /// let graph = ["https://graph.microsoft.com/User.Read"];
    /// let token = credential.acquire(&graph, Some(options)).await?;
    /// let authorization = format!("PoP {}", token.access_token.expose());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Every kind, see [`ErrorKind`].
    pub async fn acquire(
        &self,
        scopes: &[&str],
        options: Option<AcquireOptions>,
    ) -> Result<Token, Error> {
        let options = options.unwrap_or_default();
        self.token(scopes, &options).await.map(|token| Token::clone(&token))
    }

    pub(crate) async fn token(
        &self,
        scopes: &[&str],
        options: &AcquireOptions,
    ) -> Result<Arc<Token>, Error> {
        self.0.acquire(options.query(scopes)).await
    }

    /// Signs a person in and returns a record of the account. Store the record, and pass it as
    /// [`authentication_record`](InteractiveBrowserBrokerCredentialOptions::authentication_record)
    /// next time. The credential also keeps the token of the sign-in.
    ///
    /// The person chooses the account, unless the options or an earlier token of this credential
    /// determine it; then the broker prompts only if it has to. Without scopes the sign-in is for
    /// Azure Resource Manager of the authority's cloud.
    ///
    /// A program that decides itself when to prompt sets
    /// [`disable_automatic_authentication`](InteractiveBrowserBrokerCredentialOptions::disable_automatic_authentication),
    /// and calls this when a request fails with
    /// [`InteractionRequired`](ErrorKind::InteractionRequired), with the claims of that error.
    ///
    /// ```no_run
    /// # use keybearer::{AcquireOptions, AuthenticationRecord, InteractiveBrowserBrokerCredential};
    /// # use keybearer::InteractiveBrowserBrokerCredentialOptions;
    /// # async fn sign_in() -> Result<(), Box<dyn std::error::Error>> {
    /// let credential = InteractiveBrowserBrokerCredential::new(None)?;
    /// let record = credential.authenticate(&[], None).await?;
    /// std::fs::write("account.json", record.serialize())?;
    ///
    /// // Next time: the same account, even if others are connected.
    /// let record = AuthenticationRecord::deserialize(&std::fs::read_to_string("account.json")?)?;
    /// let credential = InteractiveBrowserBrokerCredential::new(Some(
    ///     InteractiveBrowserBrokerCredentialOptions {
    ///         authentication_record: Some(record),
    ///         ..Default::default()
    ///     },
    /// ))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Every kind, see [`ErrorKind`]; [`InvalidRequest`](ErrorKind::InvalidRequest) on `scopes` if
    /// there are none and the Azure Resource Manager of the authority's cloud is not known.
    pub async fn authenticate(
        &self,
        scopes: &[&str],
        options: Option<AcquireOptions>,
    ) -> Result<AuthenticationRecord, Error> {
        let options = options.unwrap_or_default();
        self.0.authenticate(options.query(scopes)).await
    }
}

impl AcquireOptions {
    fn query<'a>(&'a self, scopes: &'a [&'a str]) -> TokenQuery<'a> {
        TokenQuery {
            scopes,
            tenant_id: self.tenant_id.as_deref(),
            claims: self.claims.as_deref(),
            enable_cae: self.enable_cae,
            proof_of_possession: self.proof_of_possession.as_ref(),
        }
    }
}

#[async_trait::async_trait]
impl TokenCredential for InteractiveBrowserBrokerCredential {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let context = options.as_ref().map(|options| &options.method_options.context);
        let query = match context.and_then(|context| context.value::<AcquireOptions>()) {
            Some(options) => options.query(scopes),
            None => TokenQuery { scopes, ..TokenQuery::default() },
        };
        if query.proof_of_possession.is_some() {
            let message = "could not return a bound token: the SDK would send it as a bearer token";
            let error = Error::invalid_request("proof_of_possession", message);
            return Err(to_azure(error.with_hint("call `acquire` instead")));
        }
        let token = self.0.acquire(query).await.map_err(to_azure)?;
        let expires_on = OffsetDateTime::from_unix_timestamp(token.expires_on.unix_seconds());
        Ok(AccessToken {
            token: Secret::new(token.access_token.expose().to_owned()),
            expires_on: expires_on.map_err(|error| {
                to_azure(
                    Error::new(ErrorKind::Internal, "could not read the token's expiry")
                        .with_source(error),
                )
            })?,
        })
    }
}
