//! A sign-in window on WebKitGTK, for machines without Chromium, Chrome or Edge.
//!
//! To the broker it is one more browser: it is started with a profile directory
//! (`--user-data-dir=PATH`) and steered over the descriptors 3 and 4, in that part of the DevTools
//! protocol which `keybearer-host` uses for its sign-in window. Every navigation that begins with
//! the address the broker watches is held until the broker has said whether it may go on; nothing of
//! it leaves the machine before. It ends when the pipe does.
//!
//! What it cannot tell is a navigation of a frame from one of the page: WebKitGTK does not say. The
//! `state` of the sign-in is what protects there.

mod desk;
mod pipe;
mod window;

use std::path::PathBuf;
use std::process::ExitCode;

use desk::WindowServer;

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
        "this is a part of Keybearer's broker, which starts it for a sign-in; \
         --user-data-dir=PATH is needed",
    )?;
    let (requests, replies) = pipe::open().map_err(|error| {
        format!("nobody steers this window over the descriptors 3 and 4: {error}")
    })?;
    gtk::init().map_err(|error| error.to_string())?;
    let main_loop = gtk::glib::MainLoop::new(None, false);
    let desk = WindowServer::new(&profile, replies, main_loop.clone());
    gtk::glib::spawn_future_local(async move {
        while let Ok(request) = requests.recv().await {
            desk.attend(&request);
        }
        desk.end();
    });
    main_loop.run();
    Ok(())
}

fn profile() -> Option<PathBuf> {
    let mut arguments = std::env::args();
    let named = arguments.find_map(|one| one.strip_prefix("--user-data-dir=").map(str::to_owned));
    named.map(PathBuf::from).filter(|path| path.is_absolute())
}
