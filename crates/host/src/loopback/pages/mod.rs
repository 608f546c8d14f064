use std::fmt::Write;
use std::path::Path;

use keybearer_core::Account;
use keybearer_engine::{SignInOutcome, SignInPrompt};
use serde::Serialize;

/// A page of ours. Its style and script have the nonce of the response.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    title: &'static str,
    body: String,
    script: Option<&'static str>,
}

/// The outcome, for the page that stays open.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FinalMessage {
    title: &'static str,
    text: String,
    closes: bool,
}

/// Names and values in the form of the first page.
pub(super) const TOKEN: &str = "token";
pub(super) const ACCOUNT: &str = "account";
pub(super) const ANOTHER: &str = "another";
pub(super) const CONTINUE: &str = "continue";
pub(super) const CANCEL: &str = "cancel";
/// Whether the provider's page opens in this tab or in another.
pub(super) const TAB: &str = "tab";
pub(super) const OTHER_TAB: &str = "other";

/// What the script of the first page appends to the page's path for the request that shows that the
/// page is open.
pub(super) const PRESENCE: &str = "presence";

const CLOSE: &str = "window.close()";
const LAUNCHER: &str = include_str!("launcher.js");
const STYLE: &str = include_str!("style.css");

/// Where the form of the first page is sent, and the token that proves that the form is ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) path: &'a str,
    pub(super) token: &'a str,
}

impl Page {
    /// A heading and a sentence.
    pub(super) fn notice(title: &'static str, sentence: &str) -> Self {
        let sentence = escape(sentence);
        let body = format!("<h1>{}</h1>\n<p>{sentence}</p>\n", escape(title));
        Self { title, body, script: None }
    }

    /// For an answer that no sign-in waits for.
    pub(super) fn ended() -> Self {
        Self::notice(
            "The sign-in has ended",
            "This answer is no longer needed. You can close this window.",
        )
    }

    /// After the person has cancelled.
    pub(super) fn cancelled() -> Self {
        Self::notice("Cancelled", "The sign-in was cancelled. You can close this window.")
    }

    /// For an answer that does not belong to this sign-in, which continues.
    pub(super) fn rejected() -> Self {
        Self::notice(
            "Not accepted",
            "This answer does not belong to the sign-in. If you are signing in, continue in the \
             window where you started.",
        )
    }

    /// The outcome of the sign-in.
    pub(crate) fn outcome(outcome: &SignInOutcome, prompt: &SignInPrompt) -> Self {
        let FinalMessage { title, text, closes } = FinalMessage::of(outcome);
        let mut page = Self::notice(title, &text);
        if closes {
            page.script = Some(CLOSE);
        } else {
            let id = escape(prompt.correlation_id.as_str());
            let _ = writeln!(page.body, "<p class=\"small\">Correlation id: {id}</p>");
        }
        page
    }

    /// The account picker: one form, whose buttons are the accounts.
    pub(super) fn picker(prompt: &SignInPrompt, accounts: &[Account], target: Target<'_>) -> Self {
        let mut buttons = String::new();
        for account in accounts {
            tile(&mut buttons, account);
        }
        let another = "<span class=\"initial other\" aria-hidden=\"true\">+</span>\
                       <span class=\"alone\">Use another account</span>";
        button(&mut buttons, ANOTHER, "account", another);
        Self::first("Choose an account", prompt, &buttons, target)
    }

    /// The start of a sign-in without a choice of accounts.
    pub(super) fn start(prompt: &SignInPrompt, target: Target<'_>) -> Self {
        let mut buttons = String::new();
        button(&mut buttons, CONTINUE, "main", "Continue");
        Self::first("Sign in", prompt, &buttons, target)
    }

    /// The first page after the choice, if it is loaded again.
    pub(super) fn waiting(target: Target<'_>) -> Self {
        let body = format!("{}<div>\n{WAITING}{}</div>\n</form>\n", form(target), cancel());
        Self { title: "Signing in", body, script: Some(LAUNCHER) }
    }

    fn first(
        title: &'static str,
        prompt: &SignInPrompt,
        buttons: &str,
        target: Target<'_>,
    ) -> Self {
        let mut body = form(target);
        let _ = writeln!(body, "<div id=\"question\">\n<h1>{}</h1>", escape(title));
        describe(&mut body, prompt);
        body.push_str(buttons);
        let _ = write!(body, "</div>\n<div id=\"waiting\" hidden>\n{WAITING}</div>\n");
        let _ = writeln!(body, "{}</form>", cancel());
        Self { title, body, script: Some(LAUNCHER) }
    }

    /// The same page for our own window, which notices closing itself.
    #[cfg(unix)]
    pub(super) fn without_script(self) -> Self {
        Self { script: None, ..self }
    }

    /// The whole document.
    pub(super) fn render(&self, nonce: &str) -> String {
        self.document(nonce, "")
    }

    /// The whole document, for use without HTTP headers.
    #[cfg(unix)]
    pub(crate) fn standalone(&self, nonce: &str) -> String {
        let policy = format!(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'\">\n"
        );
        self.document(nonce, &policy)
    }

    fn document(&self, nonce: &str, head: &str) -> String {
        let (title, body) = (escape(self.title), &self.body);
        let script = self.script.map_or_else(String::new, |script| {
            format!("<script nonce=\"{nonce}\">{script}</script>\n")
        });
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{head}\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} - Keybearer</title>\n<style nonce=\"{nonce}\">{STYLE}</style>\n</head>\n\
             <body>\n<main>\n{body}</main>\n{script}</body>\n</html>\n"
        )
    }
}

impl FinalMessage {
    pub(super) fn of(outcome: &SignInOutcome) -> Self {
        match outcome {
            SignInOutcome::SignedIn { username } => Self {
                title: "Signed in",
                text: format!("You are signed in as {username}. You can close this window."),
                closes: true,
            },
            SignInOutcome::Failed { reason } => {
                Self { title: "The sign-in failed", text: reason.clone(), closes: false }
            }
        }
    }

    pub(super) fn cancelled() -> Self {
        let text = "The sign-in was cancelled. You can close this window.".to_owned();
        Self { title: "Cancelled", text, closes: false }
    }
}

/// Shown beside the provider's page.
const WAITING: &str = "<h1 tabindex=\"-1\">Continue in the other tab</h1>\n\
     <p>Sign in there, and keep this page open: closing either tab cancels the sign-in.</p>\n";

fn form(target: Target<'_>) -> String {
    let (path, token) = (escape(target.path), escape(target.token));
    format!(
        "<form method=\"post\" action=\"{path}\">\n\
         <input type=\"hidden\" name=\"{TOKEN}\" value=\"{token}\">\n\
         <input type=\"hidden\" name=\"{TAB}\" value=\"this\">\n"
    )
}

/// Which program asks for what, and which host will ask for credentials.
fn describe(body: &mut String, prompt: &SignInPrompt) {
    let process = prompt.caller.process.as_ref();
    let executable = process.and_then(|process| process.executable.as_deref());
    let name = executable.and_then(Path::file_name).map(|name| name.display().to_string());
    let name =
        name.unwrap_or_else(|| if process.is_some() { "A program" } else { "This program" }.into());
    let program = process.map(|process| match executable {
        Some(path) => format!("{} (process {})", path.display(), process.pid),
        None => format!("process {}", process.pid),
    });
    let scopes: Vec<&str> = prompt.scopes.iter().collect();
    let _ = writeln!(
        body,
        "<p><strong>{}</strong> asks for access on your behalf.</p>\n<dl>",
        escape(&name)
    );
    for (term, value) in [
        ("Program", program.as_deref().unwrap_or_default()),
        ("App", prompt.client_id.as_str()),
        ("Tenant", &prompt.tenant.to_string()),
        ("Access to", &scopes.join(" ")),
        ("Sign-in by", prompt.authority_host.as_str()),
    ] {
        if !value.is_empty() {
            let _ = writeln!(body, "<dt>{term}</dt><dd>{}</dd>", escape(value));
        }
    }
    body.push_str("</dl>\n");
}

/// A button for an account: its name if it has one, its user name, and an initial.
fn tile(buttons: &mut String, account: &Account) {
    let user = escape(&account.username);
    let name = account.name.as_deref().unwrap_or_default();
    let shown = if name.is_empty() { &account.username } else { name };
    let initial = shown.chars().find(|c| c.is_alphanumeric()).unwrap_or('?');
    let initial = escape(&initial.to_uppercase().to_string());
    let text = match name {
        "" => format!("<span class=\"alone\">{user}</span>"),
        name => format!(
            "<span class=\"name\">{}</span> <span class=\"user\">{user}</span>",
            escape(name)
        ),
    };
    let _ = writeln!(
        buttons,
        "<button type=\"submit\" class=\"account\" name=\"{ACCOUNT}\" value=\"{}\">\
         <span class=\"initial\" aria-hidden=\"true\">{initial}</span>{text}</button>",
        escape(account.home_account_id.as_str())
    );
}

/// A button with this label.
fn button(buttons: &mut String, value: &str, class: &str, html: &str) {
    let _ = writeln!(
        buttons,
        "<button type=\"submit\" class=\"{class}\" name=\"{ACCOUNT}\" value=\"{value}\">{html}</button>"
    );
}

fn cancel() -> String {
    let mut text = String::new();
    button(&mut text, CANCEL, "cancel", "Cancel");
    text
}

/// Escapes text for an element or a quoted attribute. Control characters and characters that change
/// the direction of text are replaced, because they could make one name look like another.
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

#[cfg(test)]
mod tests {
    use keybearer_core::{
        AuthorityHost, Caller, CallerId, ClientId, CorrelationId, HomeAccountId, Process, ScopeSet,
        Tenant, TenantId,
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
            tenant: Tenant::Organizations,
            scopes: ScopeSet::parse(&["https://storage.azure.com/<b>"]).unwrap(),
            redirect_uri: None,
            correlation_id: CorrelationId::new("c-1"),
            caller_ui: None,
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
        let target = Target { path: "/n/sign-in", token: "t" };
        let page = Page::picker(&hostile_prompt(), &[account], target).render("n0");
        for text in [
            "/tmp/&lt;script&gt;&quot;&amp;&#39;\u{fffd} (process 42)",
            "<strong>&lt;script&gt;&quot;&amp;&#39;\u{fffd}</strong>",
            "app-1",
            "organizations",
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
        assert_eq!(page.matches("<script").count(), page.matches("<script nonce=\"n0\">").count());
        assert!(!page.contains("<img") && !page.contains("://cdn"));
    }

    #[test]
    fn the_script_asks_for_the_path_that_is_served() {
        assert!(LAUNCHER.contains(&format!("fetch(`${{path}}/{PRESENCE}`)")));
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
