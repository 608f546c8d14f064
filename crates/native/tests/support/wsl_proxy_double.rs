//! Stands in for `msal.wsl.proxy.exe`: takes the same arguments after the path of a broker's
//! socket, asks that broker over D-Bus, and answers as a Windows program does.
//!
//! It refuses what the real one refuses, as far as that is known: a token request without
//! `authParameters`, an account in one place only, and members that Microsoft's client does not
//! send.
#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports, reason = "WSL is a Linux"))]

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::ExitCode;
    use std::time::Duration;

    use keybearer_dbus::client::BrokerProxy;
    use keybearer_dbus::interface::{INTERFACE, OBJECT_PATH};
    use tokio::net::{UnixListener, UnixStream};

    const LIMIT: Duration = Duration::from_secs(5);

    /// What is named because something has to be. Windows uses a redirect URI of its own.
    const NATIVE_CLIENT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";

    #[derive(Debug)]
    struct Call {
        socket: PathBuf,
        method: String,
        version: String,
        correlation_id: String,
        request: String,
    }

    #[tokio::main(flavor = "current_thread")]
    pub(super) async fn main() -> ExitCode {
        let Some(call) = Call::parse(std::env::args().skip(1).collect()) else {
            return ExitCode::from(2);
        };
        let reply = match call.refusal() {
            Some(refusal) => refusal,
            None => call.answer().await,
        };
        // Line ends of Windows, and the NUL of its strings.
        let written = std::io::stdout().write_all(format!("{reply}\r\n\0").as_bytes());
        ExitCode::from(u8::from(written.is_err()))
    }

    impl Call {
        fn parse(arguments: Vec<String>) -> Option<Self> {
            let [socket, m, method, v, version, c, correlation_id, j, request] =
                <[String; 9]>::try_from(arguments).ok()?;
            let named = [m, v, c, j] == ["--method", "--bversion", "--cid", "--requestJson"];
            let socket = PathBuf::from(socket);
            named.then_some(Self { socket, method, version, correlation_id, request })
        }

        fn refusal(&self) -> Option<String> {
            let token = self.method.starts_with("acquireToken");
            let account = self.request.matches(r#""homeAccountId":"#).count();
            let known = self.version == "3"
                && !self.correlation_id.is_empty()
                && !self.request.contains(r#""keybearer""#)
                && !self.request.contains("accessTokenToRenew")
                && (!token || (self.request.contains(r#""authParameters":{"#) && account != 1));
            let silent = self.method == "acquireTokenSilently";
            let typed = !silent || self.request.contains(r#""authorizationType":8"#);
            let error = r#"{"context":"Invalid requestJson","errorCode":0,"status":0,"subStatus":0,"tag":508371229}"#;
            (!(known && typed)).then(|| format!(r#"{{"error":{error}}}"#))
        }

        /// Each process has a connection of its own, so a cancelling process notifies the waiting one.
        async fn answer(&self) -> String {
            let place = self.socket.with_file_name(&self.correlation_id);
            match self.method.as_str() {
                "cancelInteractiveFlow" => {
                    drop(UnixStream::connect(&place).await);
                    "{}".to_owned()
                }
                "acquireTokenInteractively" => self.sign_in(&place).await,
                _ => self.ask(&self.connect().await, &self.method, &self.request).await,
            }
        }

        async fn sign_in(&self, place: &Path) -> String {
            let (listener, broker) = (UnixListener::bind(place), self.connect().await);
            let mut asking = Box::pin(self.ask(&broker, &self.method, &self.request));
            let cancelled = async {
                match &listener {
                    Ok(listener) => drop(listener.accept().await),
                    Err(_) => std::future::pending().await,
                }
            };
            let reply = tokio::select! {
                reply = &mut asking => reply,
                () = cancelled => {
                    self.ask(&broker, "cancelInteractiveFlow", "{}").await;
                    asking.await
                }
            };
            let _ = std::fs::remove_file(place);
            reply
        }

        async fn connect(&self) -> Option<BrokerProxy> {
            BrokerProxy::connect_socket(&self.socket, LIMIT).await.ok()
        }

        async fn ask(&self, broker: &Option<BrokerProxy>, method: &str, request: &str) -> String {
            let Some(broker) = broker else { return String::new() };
            let request = request.replace(NATIVE_CLIENT, "");
            let arguments = ("0.0", self.correlation_id.as_str(), request.as_str());
            let none: Option<&str> = None;
            let connection = broker.connection();
            let reply =
                connection.call_method(none, OBJECT_PATH, Some(INTERFACE), method, &arguments);
            let reply = reply.await.ok();
            reply.and_then(|reply| reply.body().deserialize().ok()).unwrap_or_default()
        }
    }
}
