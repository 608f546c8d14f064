//! The claims of id tokens and access tokens, as Entra writes them
//! (<https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::server::claims::Claims;
use crate::server::faults::WrongPart;
use crate::server::fixture::{Resource, User};

/// The user that tokens are about, and how that user signed in.
pub(crate) struct Subject<'a> {
    pub(crate) user: &'a User,
    /// The tenant that issues the tokens.
    pub(crate) tenant: &'a str,
    /// The user's object id in that tenant.
    pub(crate) oid: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) proof: Proof,
}

/// How the user has authenticated.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Proof {
    Password,
    /// A password and the extra approval.
    MultiFactor,
}

/// The lifetime of a token, in seconds since 1970.
#[derive(Clone, Copy)]
pub(crate) struct Validity {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Subject<'_> {
    /// The v2.0 id token. `authority_host` is the scheme, host and port of the issuer.
    pub(crate) fn id_token(
        &self,
        authority_host: &str,
        nonce: Option<&str>,
        validity: Validity,
    ) -> Value {
        let mut claims = json!({
            "aud": self.client_id,
            "iss": format!("{authority_host}/{}/v2.0", self.tenant),
            "iat": validity.from,
            "nbf": validity.from,
            "exp": validity.until,
            "name": self.user.name,
            "oid": self.oid,
            "preferred_username": self.user.upn,
            "sub": self.pairwise(self.client_id),
            "tid": self.tenant,
            "ver": "2.0",
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        if let Some(provider) = self.identity_provider() {
            claims["idp"] = json!(provider);
        }
        claims
    }

    /// The access token for `resource`, whose URI the client wrote as `audience`.
    pub(crate) fn access_token(&self, grant: &AccessGrant<'_>, authority_host: &str) -> Value {
        let mut claims = json!({
            "aud": grant.audience,
            "iat": grant.validity.from,
            "nbf": grant.validity.from,
            "exp": grant.validity.until,
            "name": self.user.name,
            "oid": self.oid,
            "scp": grant.scp,
            "sub": self.pairwise(&grant.resource.uri),
            "tid": self.tenant,
            "uti": &crate::server::random::secret("")[..22],
        });
        let versioned = match grant.resource.token_version {
            1 => json!({
                "acr": "1",
                "amr": self.methods(),
                "appid": self.client_id,
                "appidacr": "0",
                "iss": format!("https://sts.windows.net/{}/", self.tenant),
                "unique_name": self.user.upn,
                "upn": self.local_upn(),
                "ver": "1.0",
            }),
            _ => json!({
                "azp": self.client_id,
                "azpacr": "0",
                "iss": format!("{authority_host}/{}/v2.0", self.tenant),
                "preferred_username": self.user.upn,
                "ver": "2.0",
            }),
        };
        extend(&mut claims, versioned);
        if let Some(provider) = self.identity_provider() {
            claims["idp"] = json!(provider);
        }
        for (name, values) in
            [("xms_cc", grant.claims.capabilities()), ("acrs", grant.claims.contexts())]
        {
            if !values.is_empty() {
                claims[name] = json!(values);
            }
        }
        claims
    }

    /// The home tenant, for a guest.
    fn identity_provider(&self) -> Option<String> {
        (self.user.tenant != self.tenant)
            .then(|| format!("https://sts.windows.net/{}/", self.user.tenant))
    }

    /// A guest has another name in the tenant than at home.
    fn local_upn(&self) -> String {
        if self.user.tenant == self.tenant {
            return self.user.upn.clone();
        }
        format!("{}#EXT#@{}", self.user.upn.replace('@', "_"), self.tenant)
    }

    fn methods(&self) -> &'static [&'static str] {
        match self.proof {
            Proof::Password => &["pwd"],
            Proof::MultiFactor => &["pwd", "mfa"],
        }
    }

    /// The subject differs from app to app and from resource to resource.
    fn pairwise(&self, audience: &str) -> String {
        let text = format!("{}/{}/{audience}", self.tenant, self.oid);
        URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
    }
}

/// `uid` and `utid` of the home account, as `client_info` carries them.
pub(crate) fn client_info(user: &User) -> String {
    let info = json!({"uid": user.oid, "utid": user.tenant});
    URL_SAFE_NO_PAD.encode(info.to_string())
}

/// What an access token grants.
pub(crate) struct AccessGrant<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) audience: &'a str,
    pub(crate) scp: &'a str,
    pub(crate) claims: &'a Claims,
    pub(crate) validity: Validity,
}

/// Replaces the named claim of an id token with a wrong value. The signature is not a claim.
pub(crate) fn spoil(id_token: &mut Value, part: WrongPart) {
    const NOBODY: &str = "00000000-0000-4000-8000-00000000dead";
    let (name, value) = match part {
        WrongPart::Audience => ("aud", NOBODY.to_owned()),
        WrongPart::Issuer => ("iss", "https://issuer.invalid/v2.0".to_owned()),
        WrongPart::Nonce => ("nonce", "not-the-nonce".to_owned()),
        WrongPart::Tenant => ("tid", NOBODY.to_owned()),
        WrongPart::Signature => return,
    };
    id_token[name] = json!(value);
}

fn extend(claims: &mut Value, more: Value) {
    if let (Value::Object(claims), Value::Object(more)) = (claims, more) {
        claims.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fixture::Fixture;

    const VALIDITY: Validity = Validity { from: 100, until: 200 };

    fn subject(fixture: &Fixture, user: usize) -> Subject<'_> {
        let (user, tenant) = (&fixture.users[user], &fixture.tenants[0].id);
        let oid = user.oid_in(tenant).unwrap();
        Subject { user, tenant, oid, client_id: "app", proof: Proof::Password }
    }

    fn access_token(subject: &Subject<'_>, fixture: &Fixture, resource: &str) -> Value {
        let claims = Claims::parse(r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#).unwrap();
        let grant = AccessGrant {
            resource: fixture.resources.iter().find(|r| r.is_named(resource)).unwrap(),
            audience: resource,
            scp: "user_impersonation",
            claims: &claims,
            validity: VALIDITY,
        };
        subject.access_token(&grant, "https://localhost:1")
    }

    #[test]
    fn access_token_has_the_shape_its_resource_expects() {
        let fixture = Fixture::load(None).unwrap();
        let subject = subject(&fixture, 0);
        let v1 = access_token(&subject, &fixture, "https://storage.azure.com/");
        assert_eq!(v1["ver"], "1.0");
        assert_eq!(v1["aud"], "https://storage.azure.com/");
        assert_eq!(v1["iss"], format!("https://sts.windows.net/{}/", subject.tenant));
        assert_eq!(v1["appid"], "app");
        assert_eq!(v1["upn"], "dev@contoso.example");
        assert_eq!(v1["xms_cc"], json!(["CP1"]));
        let v2 = access_token(&subject, &fixture, "https://vault.azure.net");
        assert_eq!(v2["ver"], "2.0");
        assert_eq!(v2["iss"], format!("https://localhost:1/{}/v2.0", subject.tenant));
        assert_eq!((v2["azp"].as_str(), v2.get("appid")), (Some("app"), None));
    }

    #[test]
    fn guest_has_the_local_object_id_and_the_home_account() {
        let fixture = Fixture::load(None).unwrap();
        let guest = subject(&fixture, 2);
        let claims = guest.id_token("https://localhost:1", Some("n"), VALIDITY);
        assert_eq!(claims["oid"], "11111111-aaaa-4bbb-8ccc-000000000003");
        assert_eq!(claims["nonce"], "n");
        let info = URL_SAFE_NO_PAD.decode(client_info(guest.user)).unwrap();
        let info: Value = serde_json::from_slice(&info).unwrap();
        assert_eq!(info["uid"], "22222222-aaaa-4bbb-8ccc-000000000003");
        assert_eq!(info["utid"], fixture.tenants[1].id.as_str());
        let access = access_token(&guest, &fixture, "https://storage.azure.com");
        assert!(access["upn"].as_str().unwrap().contains("#EXT#"));
    }

    #[test]
    fn spoiling_changes_exactly_the_named_claim() {
        let fixture = Fixture::load(None).unwrap();
        let good = subject(&fixture, 0).id_token("https://localhost:1", Some("n"), VALIDITY);
        let cases = [
            (WrongPart::Audience, Some("aud")),
            (WrongPart::Issuer, Some("iss")),
            (WrongPart::Nonce, Some("nonce")),
            (WrongPart::Tenant, Some("tid")),
            (WrongPart::Signature, None),
        ];
        for (part, changed) in cases {
            let mut bad = good.clone();
            spoil(&mut bad, part);
            let names = good.as_object().unwrap().keys();
            let different: Vec<_> = names.filter(|name| bad[*name] != good[*name]).collect();
            assert_eq!(different, changed.into_iter().collect::<Vec<_>>());
        }
    }
}
