//! An emulated Entra, and a person with a browser somewhere: forms are filled in over HTTP.

use keybearer_emulator::{Emulator, EmulatorOptions};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};

use crate::home::Home;

pub(crate) struct Provider {
    emulator: Emulator,
    runtime: tokio::runtime::Runtime,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self { emulator: Emulator::start(EmulatorOptions::default()).unwrap(), runtime }
    }

    /// A machine on which this provider is trusted. It has no display.
    pub(crate) fn home(&self) -> Home {
        let ready = self.emulator.ready();
        let host = ready.authority_host.trim_start_matches("https://");
        Home::new()
            .with("KEYBEARER_TRUSTED_AUTHORITY_HOSTS", host)
            .with("AZURE_AUTHORITY_HOST", &ready.authority_host)
            .with("SSL_CERT_FILE", ready.ca.to_str().unwrap())
            .with("TERM", "xterm")
    }

    /// Signs `user` in at an address, with a new browser. Returns the address it ended at, whether
    /// there is a page or not.
    pub(crate) fn sign_in(&self, user: &str, address: &str) -> String {
        self.walk(user, address, Reach::Everything)
    }

    /// Opens a page of this machine, and goes no further.
    pub(crate) fn open(&self, address: &str) {
        let http = Client::builder().no_proxy().build().unwrap();
        self.runtime.block_on(http.get(address).send()).unwrap();
    }

    /// As [`sign_in`](Self::sign_in), on a machine that cannot reach the address it is sent back to.
    pub(crate) fn refused(&self, user: &str, address: &str) -> String {
        self.walk(user, address, Reach::Provider)
    }

    fn walk(&self, user: &str, address: &str, reach: Reach) -> String {
        let ready = self.emulator.ready();
        let user = ready.users.iter().find(|own| own.upn.starts_with(user)).unwrap();
        let ca = Certificate::from_pem(&std::fs::read(&ready.ca).unwrap()).unwrap();
        let http = Client::builder().add_root_certificate(ca).redirect(Policy::none()).no_proxy();
        let http = http.cookie_store(true).build().unwrap();
        let fill = |kind: &str, value: String| match kind {
            "email" => user.upn.clone(),
            "password" => user.password.clone(),
            _ => value,
        };
        self.runtime.block_on(walk(&http, Url::parse(address).unwrap(), reach, fill))
    }
}

/// What a browser gets to.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    Everything,
    /// Nothing on this machine's plain ports.
    Provider,
}

async fn walk(
    http: &Client,
    start: Url,
    reach: Reach,
    fill: impl Fn(&str, String) -> String,
) -> String {
    let (mut url, mut request) = (start.clone(), http.get(start));
    for _ in 0..20 {
        let Ok(reply) = request.send().await else { return url.into() };
        if let Some(location) = reply.headers().get("location") {
            url = url.join(location.to_str().unwrap()).unwrap();
            if reach == Reach::Provider && url.scheme() == "http" {
                return url.into();
            }
            request = http.get(url.clone());
            continue;
        }
        let html = reply.text().await.unwrap();
        let Some(form) = tags(&html, "form").into_iter().next() else { return url.into() };
        let inputs = tags(&html, "input").into_iter().map(|tag| {
            let value = fill(&attribute(&tag, "type"), attribute(&tag, "value"));
            (attribute(&tag, "name"), value)
        });
        let button = tags(&html, "button").into_iter().next();
        let button = button.map(|tag| (attribute(&tag, "name"), attribute(&tag, "value")));
        let fields: Vec<(String, String)> = inputs.chain(button).collect();
        url = url.join(&attribute(&form, "action")).unwrap();
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        request = http.post(url.clone()).header(kind.0, kind.1).body(body);
    }
    panic!("the sign-in has no end")
}

fn tags(html: &str, name: &str) -> Vec<String> {
    let start = format!("<{name} ");
    html.split(&start).skip(1).map(|rest| rest.split('>').next().unwrap().to_owned()).collect()
}

fn attribute(tag: &str, name: &str) -> String {
    let value = tag.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
    value.unwrap_or_default().replace("&#39;", "'").replace("&quot;", "\"").replace("&amp;", "&")
}
