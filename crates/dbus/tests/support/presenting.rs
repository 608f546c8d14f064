//! A broker that calls its caller's caller_ui back.

use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{
    Abilities, AccountPick, Broker, CallerUi, ErrorKind, InteractiveRequest, Prompt, SignInAddress,
    SignInMethod, SignInOptions, SshSession, Terminal, UserCode,
};
use keybearer_dbus::client::BrokerProxy;
use keybearer_testkit::double::{Answer, Received, ScriptedBroker};
use keybearer_testkit::effects::ScriptedCallerUi;
use keybearer_testkit::sample;
use tokio::task::JoinHandle;

/// A caller_ui with everything.
pub(crate) fn caller_ui() -> ScriptedCallerUi {
    let ssh = Some(SshSession { destination: "-p 2222 dev@10.0.0.5".into() });
    ScriptedCallerUi::new(Abilities { browser: true, terminal: Some(Terminal { ssh }) })
}

pub(crate) fn request(caller_ui: &ScriptedCallerUi) -> InteractiveRequest {
    let caller_ui = Some(Arc::new(caller_ui.clone()) as _);
    let sign_in_options = SignInOptions { method: SignInMethod::Paste, caller_ui };
    InteractiveRequest {
        sign_in_options,
        ..InteractiveRequest::new(sample::parameters(), Prompt::Login)
    }
}

/// A call that waits in the broker, and the way back to its caller.
pub(crate) async fn waiting(
    broker: &ScriptedBroker,
    proxy: &BrokerProxy,
    caller_ui: &ScriptedCallerUi,
) -> (JoinHandle<()>, Arc<dyn CallerUi>) {
    broker.on_interactive(Answer::Hang);
    let (proxy, request) = (proxy.clone(), request(caller_ui));
    let call = tokio::spawn(async move {
        let _ = proxy.acquire_interactive(request).await;
    });
    broker.wait_for_calls(1).await;
    let Some(Received::Interactive(arrived)) = broker.received().pop() else { panic!() };
    assert_eq!(arrived.sign_in_options.method, SignInMethod::Paste);
    assert_eq!(arrived.sign_in_options.abilities(), caller_ui.abilities());
    (call, arrived.sign_in_options.caller_ui.unwrap())
}

/// Everything a broker can ask for arrives, and the answers come back.
pub(crate) async fn acts_arrive(broker: &ScriptedBroker, proxy: &BrokerProxy) {
    let caller_ui = caller_ui();
    let (call, remote) = waiting(broker, proxy, &caller_ui).await;
    let url = || "https://login.example/authorize?x=1".parse().unwrap();
    remote.open_browser(&url()).await.unwrap();
    remote.point_to_browser().await;
    let code = UserCode {
        user_code: "ABC".into(),
        verification_uri: url(),
        expires_in: Duration::from_secs(900),
    };
    remote.show_user_code(&code).await.unwrap();
    let address = SignInAddress { url: url(), port: Some(27410) };
    remote.show_address(&address).await.unwrap();
    let account = sample::account();
    caller_ui.will_pick(AccountPick::Known(account.home_account_id.clone()));
    caller_ui.will_pick(AccountPick::Another);
    for expected in [AccountPick::Known(account.home_account_id.clone()), AccountPick::Another] {
        let pick = remote.choose_account(std::slice::from_ref(&account)).await.unwrap();
        assert_eq!(pick, expected);
    }
    caller_ui.will_paste("http://localhost/?code=pasted-code-marker");
    let pasted = remote.paste(Some("not that")).await.unwrap();
    assert_eq!(pasted.expose(), "http://localhost/?code=pasted-code-marker");
    let shown = caller_ui.shown();
    assert_eq!((shown.browsers, shown.pointed, shown.codes), (vec![url()], 1, vec![code]));
    assert_eq!(shown.addresses, [address]);
    assert_eq!(shown.complaints, [Some("not that".to_owned())]);
    assert_eq!(shown.offered, [[account.username.clone()], [account.username]]);
    call.abort();
    is_withdrawn(&*remote).await;
}

/// Once the caller has left, or its call has ended, it is called no more.
pub(crate) async fn is_withdrawn(remote: &dyn CallerUi) {
    let withdrawn = async {
        loop {
            match remote
                .show_address(&SignInAddress {
                    url: "https://login.example/".parse().unwrap(),
                    port: None,
                })
                .await
            {
                Err(error) => return error,
                Ok(()) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let error = tokio::time::timeout(super::TEST_LIMIT, withdrawn).await.unwrap();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
}
