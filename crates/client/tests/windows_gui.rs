//! A caller whose thread has windows.
#![cfg(windows)]
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]
#![allow(unsafe_code, reason = "windows are made and spoken to by functions of the system")]

use std::sync::Arc;
use std::time::Duration;

use keybearer_client::{Credential, CredentialOptions, TokenQuery};
use keybearer_core::ErrorKind;
use keybearer_testkit::double::{Answer, ScriptedBroker};
use windows::Win32::Foundation::{HWND, LPARAM, WPARAM};
use windows::Win32::UI::WindowsAndMessaging::{
    CreateWindowExW, DestroyWindow, HWND_MESSAGE, SMTO_NORMAL, SendMessageTimeoutW,
    WINDOW_EX_STYLE, WINDOW_STYLE, WM_NULL,
};
use windows::core::w;

/// Asks the window's thread for a sign of life, for one second.
fn is_alive(window: isize) -> bool {
    let window = HWND(window as *mut _);
    // SAFETY: any handle may be asked; nothing is passed by pointer.
    unsafe {
        SendMessageTimeoutW(window, WM_NULL, WPARAM(0), LPARAM(0), SMTO_NORMAL, 1000, None).0 != 0
    }
}

#[test]
fn a_blocking_wait_keeps_the_windows_of_its_thread_alive() {
    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Hang);
    let timeout = Some(Duration::from_millis(1500));
    let options = CredentialOptions { timeout, ..CredentialOptions::default() };
    let credential = Credential::with_broker(&options, broker).unwrap();
    // SAFETY: a window of a class of the system, that only receives messages.
    let window = unsafe {
        let (style, parent) = (WINDOW_STYLE::default(), Some(HWND_MESSAGE));
        let class = w!("STATIC");
        CreateWindowExW(
            WINDOW_EX_STYLE::default(),
            class,
            None,
            style,
            0,
            0,
            0,
            0,
            parent,
            None,
            None,
            None,
        )
    }
    .unwrap();
    let handle = window.0 as isize;
    let asked = std::thread::spawn(move || is_alive(handle));
    let scopes = &["https://storage.azure.com/.default"];
    let query = TokenQuery {
        scopes,
        tenant_id: None,
        claims: None,
        enable_cae: false,
        proof_of_possession: None,
    };
    let error = credential.acquire_blocking(query, || false).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::TimedOut);
    assert!(asked.join().unwrap(), "the window should have answered during the wait");
    // SAFETY: made above, on this thread.
    unsafe { DestroyWindow(window) }.unwrap();
}
