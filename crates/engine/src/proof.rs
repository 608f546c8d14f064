//! Proof of possession: the key of an account, tokens bound to it, and signed HTTP requests.
//!
//! An account has one key, which is generated when it is first needed. Tokens bound to the key are
//! cached like other tokens. The caller gets a signature over one HTTP request with the token
//! inside; each request is signed separately. If the app holds the key itself, the caller gets the
//! provider's token as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use keybearer_core::{
    AccessToken, Account, Error, HttpRequestToSign, ProofOfPossession, Result, SignHttpRequest,
    SignedHttpRequest, Token, TokenParameters, TokenType,
};
use keybearer_protocol::pkce;
use keybearer_protocol::shr::{self, KeyHolder, ProofKey};

use crate::accounts::connected_accounts::ConnectedAccounts;
use crate::effects::{Clock, Effects, Random};
use crate::errors::account_removed;
use crate::flights::Flights;
use crate::store::record_name::AccountKey;
use crate::store::sealed_store::RecordChange;

/// What a token is bound to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Binding {
    /// Nothing: any program that has the token can use it.
    Bearer,
    /// The key that the broker holds for the account, by its thumbprint (RFC 7638).
    OwnKey(Box<str>),
    /// A key that the app holds, by its thumbprint.
    KeyOfApp(Box<str>),
}

impl Binding {
    /// The type of a token that is bound like this.
    pub(crate) fn token_type(&self) -> TokenType {
        match self {
            Self::Bearer => TokenType::Bearer,
            Self::OwnKey(_) | Self::KeyOfApp(_) => TokenType::ProofOfPossession,
        }
    }

    /// The parameters of a token request that asks for this binding.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        match self {
            Self::Bearer => BTreeMap::new(),
            Self::OwnKey(key_id) => shr::token_request_parameters(key_id, KeyHolder::Broker),
            Self::KeyOfApp(key_id) => shr::token_request_parameters(key_id, KeyHolder::App),
        }
    }
}

/// What the token of a request is bound to, and what is signed before the caller gets the token.
pub(crate) struct Proof<'a> {
    pub(crate) binding: Binding,
    /// The broker's key and the HTTP request to sign with it.
    signing: Option<(ProofKey, &'a HttpRequestToSign)>,
}

/// The proof keys of the accounts, and signatures made with them.
pub(crate) struct ProofKeys {
    accounts: Arc<ConnectedAccounts>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    flights: Flights<AccountKey, ProofKey>,
}

impl ProofKeys {
    pub(crate) fn new(effects: &Effects, accounts: Arc<ConnectedAccounts>) -> Self {
        Self {
            accounts,
            clock: Arc::clone(&effects.clock),
            random: Arc::clone(&effects.random),
            flights: Flights::new(Arc::clone(&effects.spawner)),
        }
    }

    /// What the token of this request must be bound to. Generates the key of the account if needed.
    pub(crate) async fn proof<'a>(
        &self,
        parameters: &'a TokenParameters,
        account: &Account,
    ) -> Result<Proof<'a>> {
        Ok(match &parameters.proof_of_possession {
            None => Proof { binding: Binding::Bearer, signing: None },
            Some(ProofOfPossession::BoundTo { key_id }) => {
                Proof { binding: Binding::KeyOfApp(key_id.as_str().into()), signing: None }
            }
            Some(ProofOfPossession::Signed(http)) => {
                let key = self.key(&AccountKey::of(account)).await?;
                let binding = Binding::OwnKey(key.thumbprint().into());
                Proof { binding, signing: Some((key, http)) }
            }
        })
    }

    /// The token as the caller gets it.
    pub(crate) fn finish(&self, proof: &Proof<'_>, token: Token) -> Result<Token> {
        let Some((key, http)) = &proof.signing else { return Ok(token) };
        let signed = self.sign(key, http, Some(&token))?;
        Ok(Token { access_token: AccessToken::new(signed.expose().into()), ..token })
    }

    /// Signs an HTTP request with the key of an account, without a token.
    pub(crate) async fn sign_http(&self, request: &SignHttpRequest) -> Result<SignedHttpRequest> {
        let account = self.accounts.registry().choose_anywhere(&request.account)?;
        let key = self.key(&AccountKey::of(&account)).await?;
        self.sign(&key, &request.http, None)
    }

    /// The key of the account. Concurrent requests generate it once (invariant I6).
    async fn key(&self, account: &AccountKey) -> Result<ProofKey> {
        if let Some(key) = self.accounts.registry().proof_key(account) {
            return Ok(key.clone());
        }
        let (accounts, owner) = (Arc::clone(&self.accounts), account.clone());
        let start = move |_| async move { make_key(&accounts, &owner).await };
        self.flights.join(account, start).landed().await
    }

    fn sign(
        &self,
        key: &ProofKey,
        http: &HttpRequestToSign,
        token: Option<&Token>,
    ) -> Result<SignedHttpRequest> {
        let nonce = pkce::opaque::<16>(self.random.bytes());
        let token = token.map(|token| &token.access_token);
        key.sign(http, token, self.clock.now(), &nonce)
    }
}

/// Generates the key of an account. It is durable before any token is bound to it (invariant I3).
async fn make_key(accounts: &ConnectedAccounts, account: &AccountKey) -> Result<ProofKey> {
    // Outside the turn, because it takes processor time that other commits need not wait for.
    let key = ProofKey::generate()?;
    let turn = accounts.turn().await;
    {
        let registry = accounts.registry();
        if let Some(key) = registry.proof_key(account) {
            return Ok(key.clone());
        }
        if !registry.contains(account) {
            return Err(account_removed());
        }
    }
    turn.commit(&[RecordChange::ProofKey(account, &key)]).await?;
    accounts.registry().set_proof_key(account, key.clone());
    Ok(key)
}

/// Refuses a token of the wrong type: any program could use a bearer token that was issued instead
/// of a bound one.
pub(crate) fn check_binding(binding: &Binding, issued: TokenType) -> Result<()> {
    if binding.token_type() == issued {
        return Ok(());
    }
    let name = |kind| match kind {
        TokenType::Bearer => "a bearer token",
        TokenType::ProofOfPossession => "a token bound to a key",
    };
    Err(Error::protocol(name(binding.token_type()), name(issued)))
}
