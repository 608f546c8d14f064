//! Proof of possession: the key of an account, tokens bound to it, and signed HTTP requests.
//!
//! An account has one key, made when it is first needed. Tokens bound to it are cached like others;
//! what is handed out is a signature over one HTTP request with the token inside, made anew for
//! each request. For an app with a key of its own the provider's token is handed out as it is.

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
    /// Nothing: whoever has the token may use it.
    Bearer,
    /// The broker's key for the account, by its thumbprint (RFC 7638).
    OwnKey(Box<str>),
    /// A key that the app has, by its thumbprint.
    KeyOfApp(Box<str>),
}

impl Binding {
    /// How a token bound like this is presented.
    pub(crate) fn token_type(&self) -> TokenType {
        match self {
            Self::Bearer => TokenType::Bearer,
            Self::OwnKey(_) | Self::KeyOfApp(_) => TokenType::ProofOfPossession,
        }
    }

    /// What a token request says about it.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        match self {
            Self::Bearer => BTreeMap::new(),
            Self::OwnKey(key_id) => shr::token_request_parameters(key_id, KeyHolder::Broker),
            Self::KeyOfApp(key_id) => shr::token_request_parameters(key_id, KeyHolder::App),
        }
    }
}

/// What a token is bound to, and what has to be signed with it before it is handed out.
pub(crate) struct Proof<'a> {
    pub(crate) binding: Binding,
    /// Whether the key is the broker's.
    signing: Option<(ProofKey, &'a HttpRequestToSign)>,
}

/// The keys of the accounts, and what is signed with them.
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

    /// What the token of this request is to be bound to.
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

    /// The token as it leaves the broker.
    pub(crate) fn finish(&self, proof: &Proof<'_>, token: Token) -> Result<Token> {
        let Some((key, http)) = &proof.signing else { return Ok(token) };
        let signed = self.sign(key, http, Some(&token))?;
        Ok(Token { access_token: AccessToken::new(signed.expose().into()), ..token })
    }

    /// Signs an HTTP request with an account's key, without a token.
    pub(crate) async fn sign_http(&self, request: &SignHttpRequest) -> Result<SignedHttpRequest> {
        let account = self.accounts.registry().choose_anywhere(&request.account)?;
        let key = self.key(&AccountKey::of(&account)).await?;
        self.sign(&key, &request.http, None)
    }

    /// The account's key, made now if there is none; by one flight, however many ask (invariant I6).
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

/// The new key is durable before anything is bound to it (invariant I3).
async fn make_key(accounts: &ConnectedAccounts, account: &AccountKey) -> Result<ProofKey> {
    // Before the turn: it keeps the processor busy, and other commits need not wait for that.
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

/// A bearer token in place of a bound one would be accepted from whoever has it.
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
