//! A sign-in window on WebKitGTK, for machines without Chromium, Chrome or Edge.
//!
//! The broker uses it like any other browser: it starts the program with a profile directory
//! (`--user-data-dir=PATH`) and controls it over the descriptors 3 and 4, with the part of the DevTools
//! protocol that `keybearer-host` uses for its sign-in window. A navigation to the address that the
//! broker watches is held, and sends nothing, until the broker allows it. The program ends when the
//! pipe is closed.
//!
//! WebKitGTK does not say whether a frame or the page navigates, so the program cannot distinguish the
//! two. The `state` of the sign-in protects against an answer from a frame.

mod pipe;
mod server;
mod window;

use std::path::PathBuf;
use std::process::ExitCode;

use server::WindowServer;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("keybearer-webkit-window: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let profile = profile().ok_or(
        "--user-data-dir=PATH is missing; Keybearer's broker starts this program for a sign-in",
    )?;
    let (requests, replies) = pipe::open().map_err(|error| {
        format!("could not open the descriptors 3 and 4, which control this window: {error}")
    })?;
    gtk::init().map_err(|error| format!("could not initialise GTK: {error}"))?;
    let main_loop = gtk::glib::MainLoop::new(None, false);
    let server = WindowServer::new(&profile, replies, main_loop.clone());
    gtk::glib::spawn_future_local(async move {
        while let Ok(request) = requests.recv().await {
            server.handle(&request);
        }
        server.end();
    });
    main_loop.run();
    Ok(())
}

fn profile() -> Option<PathBuf> {
    let mut arguments = std::env::args();
    let named = arguments.find_map(|one| one.strip_prefix("--user-data-dir=").map(str::to_owned));
    named.map(PathBuf::from).filter(|path| path.is_absolute())
}
