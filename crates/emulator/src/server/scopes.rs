//! The `scope` parameter: OpenID scopes, and scopes of exactly one resource.

use crate::server::entra_error::EntraError;
use crate::server::fixture::Resource;

const GRAPH: &str = "https://graph.microsoft.com";

/// The parsed scopes of a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Scopes {
    /// The requested ones of `openid profile email offline_access`.
    reserved: Vec<String>,
    /// Absent if only reserved scopes were requested.
    pub(crate) target: Option<Target>,
}

/// The requested resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// The URI as the client wrote it; it becomes the audience, including a final slash.
    pub(crate) resource: String,
    /// Scope names without the resource, in the order of the request.
    names: Vec<String>,
}

impl Scopes {
    /// Parses the parameter and checks it against the resources.
    pub(crate) fn parse(text: &str, resources: &[Resource]) -> Result<Self, EntraError> {
        let mut scopes = Self::default();
        for scope in text.split_ascii_whitespace() {
            if ["openid", "profile", "email", "offline_access"].contains(&scope) {
                scopes.reserved.push(scope.to_owned());
                continue;
            }
            let (resource, name) = split(scope)?;
            let known = resources.iter().find(|known| known.is_named(resource));
            let known = known.ok_or_else(|| unknown_resource(resource))?;
            if name != ".default" && !known.scopes.iter().any(|scope| scope == name) {
                return Err(unknown_scope(name, &known.name));
            }
            match &mut scopes.target {
                None => {
                    let names = vec![name.to_owned()];
                    scopes.target = Some(Target { resource: resource.to_owned(), names });
                }
                Some(target) if known.is_named(&target.resource) => {
                    target.names.push(name.to_owned());
                }
                Some(_) => return Err(several_resources(text)),
            }
        }
        scopes.check_default(text)?;
        Ok(scopes)
    }

    /// Whether a token can be issued for these scopes.
    pub(crate) fn is_empty(&self) -> bool {
        self.reserved.is_empty() && self.target.is_none()
    }

    pub(crate) fn openid(&self) -> bool {
        self.asked("openid")
    }

    pub(crate) fn offline_access(&self) -> bool {
        self.asked("offline_access")
    }

    /// The token's audience as requested; Graph's if only reserved scopes were requested.
    pub(crate) fn audience(&self) -> &str {
        self.target.as_ref().map_or(GRAPH, |target| &target.resource)
    }

    /// The `scp` claim.
    pub(crate) fn granted(&self, resource: &Resource) -> String {
        let Some(target) = &self.target else {
            let shown = self.reserved.iter().filter(|scope| *scope != "offline_access");
            return shown.cloned().collect::<Vec<_>>().join(" ");
        };
        if target.names.iter().any(|name| name == ".default") {
            return resource.scopes.join(" ");
        }
        target.names.join(" ")
    }

    /// The `scope` of the reply: the full names of the granted scopes, and `.default` if requested, because
    /// MSAL caches by it.
    pub(crate) fn reply(&self, resource: &Resource) -> String {
        let granted = self.granted(resource);
        let Some(target) = &self.target else {
            return granted;
        };
        let full = |name: &str| format!("{}/{name}", target.resource);
        let mut names: Vec<_> = granted.split(' ').map(full).collect();
        if target.names.iter().any(|name| name == ".default") {
            names.push(full(".default"));
        }
        names.join(" ")
    }

    fn asked(&self, scope: &str) -> bool {
        self.reserved.iter().any(|reserved| reserved == scope)
    }

    /// Checks that `.default` is the only scope of its resource.
    fn check_default(&self, text: &str) -> Result<(), EntraError> {
        let names = self.target.as_ref().map_or(&[][..], |target| &target.names);
        if names.iter().any(|name| name == ".default")
            && names.iter().any(|name| name != ".default")
        {
            return Err(EntraError::new(
                400,
                "invalid_scope",
                70_011,
                format!(
                    "The provided request must include a 'scope' input parameter. The provided \
                     value for the input parameter 'scope' is not valid. .default scope can't be \
                     combined with resource-specific scopes. The scope {text} is not valid."
                ),
            ));
        }
        Ok(())
    }
}

/// Splits a scope into resource and name: `https://storage.azure.com//.default` is `.default` of
/// `https://storage.azure.com/`, and a bare name belongs to Graph.
fn split(scope: &str) -> Result<(&str, &str), EntraError> {
    match scope.rsplit_once('/') {
        None if scope.contains(':') => Err(invalid_scope(scope)),
        None => Ok((GRAPH, scope)),
        Some((resource, name))
            if resource.is_empty() || name.is_empty() || resource.ends_with(":/") =>
        {
            Err(invalid_scope(scope))
        }
        Some(parts) => Ok(parts),
    }
}

fn invalid_scope(scope: &str) -> EntraError {
    EntraError::new(
        400,
        "invalid_scope",
        70_011,
        format!(
            "The provided request must include a 'scope' input parameter. The provided value for \
             the input parameter 'scope' is not valid. The scope {scope} is not valid."
        ),
    )
}

fn several_resources(scope: &str) -> EntraError {
    EntraError::new(
        400,
        "invalid_scope",
        28_000,
        format!(
            "Provided value for the input parameter scope is not valid because it contains more \
             than one resource. Scope {scope} is not valid."
        ),
    )
}

fn unknown_resource(resource: &str) -> EntraError {
    EntraError::new(
        400,
        "invalid_resource",
        500_011,
        format!(
            "The resource principal named {resource} was not found in the tenant. This can happen \
             if the application has not been installed by the administrator of the tenant or \
             consented to by any user in the tenant."
        ),
    )
}

fn unknown_scope(scope: &str, resource: &str) -> EntraError {
    EntraError::new(
        400,
        "invalid_client",
        650_053,
        format!(
            "The application asked for scope '{scope}' that doesn't exist on the resource \
             '{resource}'. Contact the app vendor."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fixture::Fixture;

    #[test]
    fn scope_is_understood_or_refused_with_entras_code() {
        let resources = Fixture::load(None).unwrap().resources;
        let cases = [
            ("openid profile", Ok(("https://graph.microsoft.com", "openid profile"))),
            ("User.Read", Ok(("https://graph.microsoft.com", "User.Read"))),
            (
                "https://storage.azure.com/.default",
                Ok(("https://storage.azure.com", "user_impersonation")),
            ),
            (
                "https://storage.azure.com//.default",
                Ok(("https://storage.azure.com/", "user_impersonation")),
            ),
            ("openid api://keybearer-sample/read", Ok(("api://keybearer-sample", "read"))),
            (
                "00000003-0000-0000-c000-000000000000/User.Read",
                Ok(("00000003-0000-0000-c000-000000000000", "User.Read")),
            ),
            ("https://storage.azure.com/.default User.Read", Err(28_000)),
            ("api://keybearer-sample/read api://keybearer-sample/.default", Err(70_011)),
            ("https://storage.azure.com", Err(70_011)),
            ("https://storage.azure.com/", Err(70_011)),
            ("https://nowhere.example/.default", Err(500_011)),
            ("https://storage.azure.com/fly", Err(650_053)),
        ];
        for (text, expected) in cases {
            let outcome = Scopes::parse(text, &resources).map_err(|error| error.code);
            let shown = outcome.map(|scopes| {
                let resource = resources.iter().find(|r| r.is_named(scopes.audience())).unwrap();
                (scopes.audience().to_owned(), scopes.granted(resource))
            });
            let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn reply_names_what_was_granted_and_what_was_asked() {
        let resources = Fixture::load(None).unwrap().resources;
        let scopes =
            Scopes::parse("openid https://storage.azure.com/.default", &resources).unwrap();
        assert_eq!(
            scopes.reply(&resources[0]),
            "https://storage.azure.com/user_impersonation https://storage.azure.com/.default"
        );
    }
}
