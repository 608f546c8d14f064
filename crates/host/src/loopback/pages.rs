use std::fmt::Write;

use keybearer_core::Account;
use keybearer_engine::{SignInOutcome, SignInPrompt};

/// A page of ours. Its style and script carry the nonce of the response they are sent in.
#[derive(Clone, Debug)]
pub(super) struct Page {
    title: &'static str,
    body: String,
    closes: bool,
}

/// Names in the form of the account picker.
pub(super) const TOKEN: &str = "token";
pub(super) const ACCOUNT: &str = "account";
pub(super) const ANOTHER: &str = "another";
pub(super) const CANCEL: &str = "cancel";

impl Page {
    /// A heading and a sentence.
    pub(super) fn notice(title: &'static str, sentence: &str) -> Self {
        let sentence = escape(sentence);
        let body = format!("<h1>{}</h1>\n<p>{sentence}</p>\n", escape(title));
        Self { title, body, closes: false }
    }

    /// Nobody waits for an answer any more.
    pub(super) fn ended() -> Self {
        Self::notice(
            "The sign-in has ended",
            "Nothing waits for this answer any more. You can close this window.",
        )
    }

    /// The answer was not ours; the wait goes on.
    pub(super) fn rejected() -> Self {
        Self::notice(
            "Not accepted",
            "This answer does not belong to the sign-in. If you are signing in, go on in the \
             window where you began.",
        )
    }

    /// How it ended.
    pub(super) fn outcome(outcome: &SignInOutcome, prompt: &SignInPrompt) -> Self {
        match outcome {
            SignInOutcome::SignedIn { username } => {
                let sentence =
                    format!("You are signed in as {username}. You can close this window.");
                Self { closes: true, ..Self::notice("Signed in", &sentence) }
            }
            SignInOutcome::Failed { reason } => {
                let mut page = Self::notice("The sign-in failed", reason);
                let id = escape(prompt.correlation_id.as_str());
                let _ = writeln!(page.body, "<p class=\"small\">Correlation id: {id}</p>");
                page
            }
        }
    }

    /// The account picker: one form, whose buttons are the accounts.
    pub(super) fn picker(
        prompt: &SignInPrompt,
        accounts: &[Account],
        action: &str,
        token: &str,
    ) -> Self {
        let mut body = String::from("<h1>Choose an account</h1>\n");
        describe(&mut body, prompt);
        let (action, token) = (escape(action), escape(token));
        let _ =
            writeln!(body, "<form method=\"post\" action=\"{action}\" aria-label=\"Accounts\">");
        let _ = writeln!(body, "<input type=\"hidden\" name=\"{TOKEN}\" value=\"{token}\">");
        for account in accounts {
            let name = account.name.as_deref().unwrap_or_default();
            button(&mut body, account.home_account_id.as_str(), name, &account.username);
        }
        button(&mut body, ANOTHER, "", "Use another account");
        button(&mut body, CANCEL, "", "Cancel");
        body.push_str("</form>\n");
        Self { title: "Choose an account", body, closes: false }
    }

    /// The whole document.
    pub(super) fn render(&self, nonce: &str) -> String {
        let (title, body) = (escape(self.title), &self.body);
        let script = if self.closes {
            format!("<script nonce=\"{nonce}\">window.close()</script>\n")
        } else {
            String::new()
        };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} - Keybearer</title>\n<style nonce=\"{nonce}\">{STYLE}</style>\n</head>\n\
             <body>\n<main>\n{body}</main>\n{script}</body>\n</html>\n"
        )
    }
}

/// Which program asks, for what, and who will ask for credentials.
fn describe(body: &mut String, prompt: &SignInPrompt) {
    let program = match &prompt.caller.process {
        None => "This program".to_owned(),
        Some(process) => {
            let path = process.executable.as_ref();
            let path = path.map_or_else(|| "A program".into(), |path| path.display().to_string());
            format!("{path} (process {})", process.pid)
        }
    };
    let scopes: Vec<&str> = prompt.scopes.iter().collect();
    let _ = writeln!(body, "<p><strong>{}</strong> asks for access.</p>\n<dl>", escape(&program));
    for (term, value) in [
        ("App", prompt.client_id.as_str()),
        ("Access to", &scopes.join(" ")),
        ("Sign-in by", prompt.authority_host.as_str()),
    ] {
        let _ = writeln!(body, "<dt>{term}</dt><dd>{}</dd>", escape(value));
    }
    body.push_str("</dl>\n");
}

fn button(body: &mut String, value: &str, name: &str, text: &str) {
    let (value, text) = (escape(value), escape(text));
    let name = match name {
        "" => String::new(),
        name => format!("<span class=\"name\">{}</span> ", escape(name)),
    };
    let _ = writeln!(
        body,
        "<button type=\"submit\" name=\"{ACCOUNT}\" value=\"{value}\">{name}<span>{text}</span></button>"
    );
}

/// Text as it may stand in an element or a quoted attribute. Control characters and those that
/// change the direction of text would let a name look like another.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escaped.push('\u{fffd}');
            }
            c if c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1b1b; --page: #f5f5f5; --card: #fff; --line: #767676; --mark: #0b57d0; }
@media (prefers-color-scheme: dark) {
  :root { --text: #f0f0f0; --page: #16181c; --card: #22252b; --line: #8c9199; --mark: #a8c7fa; }
}
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 30rem; margin: 10vh auto; padding: 2rem; background: var(--card); border-radius: .75rem; overflow-wrap: anywhere; }
h1 { margin-top: 0; font-size: 1.4rem; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; }
button { display: block; width: 100%; margin: .5rem 0; padding: .75rem 1rem; text-align: start; font: inherit; color: inherit;
  background: none; border: 1px solid var(--line); border-radius: .5rem; cursor: pointer; overflow-wrap: anywhere; }
button:hover { border-color: var(--mark); }
button:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
.name { display: block; font-weight: 600; } .small { font-size: .85rem; }
";

#[cfg(test)]
mod tests {
    use keybearer_core::{
        AuthorityHost, Caller, CallerId, ClientId, CorrelationId, HomeAccountId, Process, ScopeSet,
        TenantId,
    };

    use super::*;

    fn hostile_prompt() -> SignInPrompt {
        let executable = Some("/tmp/<script>\"&'\u{202e}".into());
        SignInPrompt {
            caller: Caller {
                id: CallerId::new(":1.7"),
                process: Some(Process { pid: 42, uid: 7, executable }),
            },
            client_id: ClientId::parse("app-1").unwrap(),
            authority_host: AuthorityHost::public_cloud(),
            scopes: ScopeSet::parse(&["https://storage.azure.com/<b>"]).unwrap(),
            redirect_uri: None,
            correlation_id: CorrelationId::new("c-1"),
            presenter: None,
        }
    }

    #[test]
    fn the_picker_says_who_asks_for_what_and_escapes_everything() {
        let account = Account {
            home_account_id: HomeAccountId::parse("oid.tid").unwrap(),
            environment: "login.windows.net".into(),
            realm: TenantId::parse("tid").unwrap(),
            local_account_id: "oid".into(),
            username: "dev@contoso.example\"><img src=x>".into(),
            name: Some("<Dev>".into()),
        };
        let page = Page::picker(&hostile_prompt(), &[account], "/n/accounts", "t").render("n0");
        for text in [
            "/tmp/&lt;script&gt;&quot;&amp;&#39;\u{fffd} (process 42)",
            "app-1",
            "https://storage.azure.com/&lt;b&gt;",
            "login.microsoftonline.com",
            "value=\"oid.tid\"",
            "dev@contoso.example&quot;&gt;&lt;img",
            "&lt;Dev&gt;",
            "Use another account",
            "Cancel",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("//cdn"));
    }

    #[test]
    fn the_last_page_says_how_it_ended() {
        let failed = SignInOutcome::Failed { reason: "AADSTS1 <no>".into() };
        let page = Page::outcome(&failed, &hostile_prompt()).render("n0");
        assert!(page.contains("AADSTS1 &lt;no&gt;") && page.contains("c-1"), "{page}");
        let signed_in = SignInOutcome::SignedIn { username: "a@b".into() };
        let page = Page::outcome(&signed_in, &hostile_prompt()).render("n0");
        assert!(page.contains("signed in as a@b") && page.contains("<script nonce=\"n0\">"));
    }
}
