use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybearer_core::{
    AccessToken, Account, AccountChoice, AccountsRequest, Broker, CallerId, CancelRequest,
    Deadline, Error, HttpRequestToSign, IdToken, InteractiveRequest, ProofOfPossession,
    RemoveAccountRequest, Result, SignHttpRequest, SignedHttpRequest, SilentRequest, Timestamp,
    Token, TokenParameters, TokenSource, TokenType,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::contract::Situation;
use crate::sample;

/// What the person in front of a [`MemoryBroker`] does when asked to sign in.
#[derive(Clone, Debug)]
pub enum SignInBehaviour {
    /// Signs in as this account.
    SignsInAs(Account),
    /// Never answers.
    StaysAway,
}

/// The smallest [`Broker`] that keeps the contract, with accounts in memory and invented tokens.
#[derive(Debug)]
pub struct MemoryBroker {
    accounts: Mutex<Vec<Account>>,
    person: SignInBehaviour,
    now: Timestamp,
    nonces: AtomicU32,
    cancelled: watch::Sender<Vec<CallerId>>,
}

impl MemoryBroker {
    /// A broker with these connected accounts, whose clock always shows `now`.
    #[must_use]
    pub fn new(accounts: Vec<Account>, person: SignInBehaviour, now: Timestamp) -> Self {
        let cancelled = watch::Sender::new(Vec::new());
        Self { accounts: Mutex::new(accounts), person, now, nonces: AtomicU32::new(0), cancelled }
    }

    /// The broker with which a check of the contract starts.
    #[must_use]
    pub fn in_situation(situation: Situation) -> Self {
        let (accounts, person) = match situation {
            Situation::NoAccount | Situation::SignInUnanswered => {
                (Vec::new(), SignInBehaviour::StaysAway)
            }
            Situation::OneAccount => (vec![sample::account()], SignInBehaviour::StaysAway),
            Situation::SignInSucceeds => {
                (Vec::new(), SignInBehaviour::SignsInAs(sample::account()))
            }
        };
        Self::new(accounts, person, sample::now())
    }

    fn remembered(&self) -> MutexGuard<'_, Vec<Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self, account: Account, parameters: &TokenParameters, source: TokenSource) -> Token {
        let token = AccessToken::new("memory-access-token".into());
        let (access_token, token_type) = match &parameters.proof_of_possession {
            None => (token, TokenType::Bearer),
            Some(ProofOfPossession::BoundTo { .. }) => (token, TokenType::ProofOfPossession),
            Some(ProofOfPossession::Signed(http)) => {
                let signed = self.sign(&account, http, Some(&token));
                (AccessToken::new(signed.expose().into()), TokenType::ProofOfPossession)
            }
        };
        Token {
            access_token,
            token_type,
            expires_on: self.now + Duration::from_secs(3600),
            refresh_on: Some(self.now + Duration::from_secs(1800)),
            granted_scopes: parameters.scopes.clone(),
            account,
            id_token: Some(IdToken::new("e30.e30.memory-id-token".into())),
            source,
        }
    }

    /// A value in the real format, with an invalid key and signature.
    fn sign(
        &self,
        account: &Account,
        http: &HttpRequestToSign,
        token: Option<&AccessToken>,
    ) -> SignedHttpRequest {
        let nonce = self.nonces.fetch_add(1, Ordering::Relaxed).to_string();
        let key_id = format!("key of {}", account.home_account_id);
        let header = json!({ "alg": "RS256", "kid": key_id, "typ": "pop" });
        let claims = json!({
            "at": token.map(AccessToken::expose),
            "cnf": { "jwk": { "kty": "RSA", "n": key_id, "e": "AQAB" } },
            "m": http.method, "u": http.host, "p": http.path,
            "nonce": http.nonce.as_ref().unwrap_or(&nonce),
            "ts": self.now.unix_seconds(),
        });
        let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
        SignedHttpRequest::new(format!("{}.{}.none", encode(header), encode(claims)))
    }

    fn choose(&self, choice: &AccountChoice) -> Result<Account> {
        let accounts = self.remembered().clone();
        let mut allowed = accounts.into_iter().filter(|account| choice.allows(account));
        match (allowed.next(), allowed.next(), choice) {
            (Some(_), Some(_), AccountChoice::Only) | (None, ..) => {
                Err(Error::interaction_required("choose an account"))
            }
            (Some(account), ..) => Ok(account),
        }
    }

    async fn sign_in(&self, deadline: Deadline) -> Result<Account> {
        match &self.person {
            SignInBehaviour::SignsInAs(account) => {
                let mut accounts = self.remembered();
                accounts.retain(|known| known.home_account_id != account.home_account_id);
                accounts.insert(0, account.clone());
                Ok(account.clone())
            }
            SignInBehaviour::StaysAway => {
                sleep(deadline.left(Instant::now().into_std())).await;
                Err(Error::timed_out("wait for the sign-in"))
            }
        }
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    fn name(&self) -> &str {
        "memory broker"
    }

    async fn accounts(&self, _: AccountsRequest) -> Result<Vec<Account>> {
        Ok(self.remembered().clone())
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        let account = self.choose(&request.parameters.account)?;
        Ok(self.token(account, &request.parameters, TokenSource::Cache))
    }

    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        let caller = &request.parameters.caller.id;
        let mut cancelled = self.cancelled.subscribe();
        let count = |callers: &Vec<CallerId>| callers.iter().filter(|id| *id == caller).count();
        let before = count(&cancelled.borrow());
        tokio::select! {
            account = self.sign_in(request.parameters.deadline) => {
                let account = account?;
                request.parameters.account.check_sign_in(&account)?;
                Ok(self.token(account, &request.parameters, TokenSource::SignIn))
            }
            _ = cancelled.wait_for(|callers| count(callers) > before) => {
                Err(Error::cancelled("sign in"))
            }
        }
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let mut accounts = self.remembered();
        let before = accounts.len();
        accounts.retain(|account| account.home_account_id != request.home_account_id);
        if accounts.len() < before {
            Ok(())
        } else {
            Err(Error::invalid_request("account", "the account is not connected"))
        }
    }

    async fn sign_http_request(&self, request: SignHttpRequest) -> Result<SignedHttpRequest> {
        Ok(self.sign(&self.choose(&request.account)?, &request.http, None))
    }

    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        self.cancelled.send_modify(|cancelled| cancelled.push(request.caller.id));
        Ok(())
    }
}
