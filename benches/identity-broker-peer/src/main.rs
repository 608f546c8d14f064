//! The peer of the row `hits-bus-peer`: a broker on the crate `identity_dbus_broker`, on the session
//! bus of the environment, that answers every silent request with a constant string.
//! `identity-broker-peer LENGTH`. It has no tokens, no cache and no store behind it.

use std::sync::Arc;

use dbus::MethodErr;
use identity_dbus_broker::{LogLevelCallbacks, SessionBroker, session_broker_serve};

struct Constant(String);

type Answer = Result<String, MethodErr>;

impl SessionBroker for Constant {
    fn acquire_token_silently(&mut self, _: String, _: String, _: String) -> Answer {
        Ok(self.0.clone())
    }

    fn acquire_token_interactively(&mut self, _: String, _: String, _: String) -> Answer {
        not_asked("acquireTokenInteractively")
    }

    fn get_accounts(&mut self, _: String, _: String, _: String) -> Answer {
        not_asked("getAccounts")
    }

    fn remove_account(&mut self, _: String, _: String, _: String) -> Answer {
        not_asked("removeAccount")
    }

    fn acquire_prt_sso_cookie(&mut self, _: String, _: String, _: String) -> Answer {
        not_asked("acquirePrtSsoCookie")
    }

    fn generate_signed_http_request(&mut self, _: String, _: String, _: String) -> Answer {
        not_asked("generateSignedHttpRequest")
    }

    fn cancel_interactive_flow(&mut self, _: String, _: String, _: String) -> Answer {
        not_asked("cancelInteractiveFlow")
    }

    fn get_linux_broker_version(&mut self, _: String, _: String, _: String) -> Answer {
        not_asked("getLinuxBrokerVersion")
    }
}

fn not_asked(method: &str) -> Answer {
    Err(MethodErr::failed(&format!("{method} is not measured")))
}

// As many workers as our broker's own process has.
#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), MethodErr> {
    let length = std::env::args().nth(1).and_then(|length| length.parse().ok());
    let length = length.expect("LENGTH, a number of bytes, is needed");
    let callbacks = LogLevelCallbacks {
        get: Arc::new(|| "info".to_owned()),
        set: Arc::new(|_| Err("the log level is fixed".to_owned())),
    };
    session_broker_serve(Constant("x".repeat(length)), "identity-broker-peer", callbacks).await
}
