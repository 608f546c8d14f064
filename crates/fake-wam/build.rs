//! Generates the interfaces of Web Account Manager as traits to implement. Microsoft's bindings have
//! them for callers only.

#[cfg(not(feature = "provider"))]
fn main() {}

#[cfg(feature = "provider")]
fn main() {
    const CORE: &[&str] = &[
        "FindAllAccountsResult",
        "FindAllWebAccountsStatus",
        "IFindAllAccountsResult",
        "IWebAuthenticationCoreManagerStatics",
        "IWebAuthenticationCoreManagerStatics4",
        "IWebProviderError",
        "IWebTokenRequest",
        "IWebTokenRequest3",
        "IWebTokenRequestFactory",
        "IWebTokenRequestResult",
        "IWebTokenResponse",
        "WebProviderError",
        "WebTokenRequest",
        "WebTokenRequestPromptType",
        "WebTokenRequestResult",
        "WebTokenRequestStatus",
        "WebTokenResponse",
    ];
    const CREDENTIALS: &[&str] = &[
        "IWebAccount",
        "IWebAccount2",
        "IWebAccountProvider",
        "IWebAccountProvider2",
        "WebAccount",
        "WebAccountProvider",
        "WebAccountState",
    ];
    const SYSTEM: &[&str] = &[
        "Windows.Win32.System.Com.APTTYPE_MTA",
        "Windows.Win32.System.Com.CoGetApartmentType",
        "Windows.Win32.System.WinRT.IActivationFactory",
        "Windows.Win32.UI.WindowsAndMessaging.IsWindow",
    ];
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("windows") {
        return;
    }
    let out = format!("{}/bindings.rs", std::env::var("OUT_DIR").expect("cargo sets it"));
    let mut arguments =
        ["--in", "default", "--out", &out, "--flat", "--no-allow", "--implement", "--filter"]
            .map(str::to_owned)
            .to_vec();
    let core = CORE.iter().map(|name| format!("Windows.Security.Authentication.Web.Core.{name}"));
    let credentials = CREDENTIALS.iter().map(|name| format!("Windows.Security.Credentials.{name}"));
    arguments.extend(core.chain(credentials));
    arguments.extend(SYSTEM.iter().map(|name| (*name).to_owned()));
    // The warnings are about members whose types are not in the list. None of them is called.
    let _ = windows_bindgen::bindgen(arguments);
}
